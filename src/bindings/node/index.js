// SPDX-License-Identifier: Apache-2.0
'use strict';
// Says before each model or tool call whether the money is there, reserves it, and charges what the
// call really cost, for all worker processes of a machine together. The native half (native/) makes
// the library's calls and leaves their figures in `units` and `nanos`; here they become objects.

const path = require('node:path');
const { isMainThread } = require('node:worker_threads');

function load() {
  const places = [
    process.env.BUDGET_ENFORCER_ADDON,
    path.join(__dirname, 'budget_enforcer.node'),
    path.join(__dirname, 'build', 'Release', 'budget_enforcer.node'),
  ].filter(Boolean);
  for (const place of places) {
    try {
      return require(place);
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  throw new Error(`budget-enforcer is not built: none of ${places.join(', ')} is there; ` +
    'run "npm rebuild budget-enforcer"');
}

const native = load();
const { units, nanos } = native;

// enum be_operation
const COMMIT = 2, RELEASE = 3, RECORD = 4, SETTLE = 5, EXTEND = 6;
const CREATE = 8, ENSURE = 9, SET_LIMIT = 10, SUSPEND = 11, RESUME = 12, RESET = 13, REMOVE = 14,
  SET = 15;
const CHARGE = 16, CORRECT = 19;
// enum upkeep_operation in native/addon.h
const REAP = 1001, PRUNE = 1002, END_NAMESPACE = 1003, BACKUP = 1004, COPY = 1005,
  APPLY = 1006;
// Those that apply() makes together.
const CHANGES = { create: CREATE, ensure: ENSURE, set_limit: SET_LIMIT, suspend: SUSPEND,
  resume: RESUME, reset: RESET, set: SET, remove: REMOVE };
const CHANGES_MAX = 1000000; // native/settings.c has it, too
// What they have beside operation and namespace; those of `set` are below.
const OF_NEW = ['category', 'limit', 'period', 'parent', 'startsAt', 'suspended', 'zone',
  'beginsOn', 'rollOver', 'observeOnly'];
const KEYS = { create: OF_NEW, ensure: OF_NEW, set_limit: ['category', 'limit'],
  suspend: ['category'], resume: ['category'], reset: ['category'], remove: ['category'] };
// enum be_setting
const SETTINGS = { limit: 1, period: 2, suspended: 4, clearSpent: 8, raised: 16, rollOver: 32,
  observeOnly: 64, thresholds: 128, name: 256, parent: 512 };
// enum be_open_flags
const EXISTING = 1, READ_ONLY = 2, OWNING = 8;
// enum be_status
const EXCEEDS_BUDGET = -1, SUSPENDED = -3, ALREADY_RELEASED = -11, ALREADY_CHARGED = -14,
  ALREADY_DONE = -17, INVALID_ARGUMENT = -100, STOPPED = -115;
const FIRST_FAULT = -100;

const PERIODS = ['total', 'hourly', 'daily', 'weekly', 'monthly', 'quarterly', 'yearly'];
const KINDS = [undefined, 'record', 'settle', 'expired', 'orphaned', 'charge',
  'correction'];
const STATES = ['pending', 'released', 'settled', 'expired', 'orphaned'];
// Of stats(), as add_statistics() in native/listings.c puts them.
const COUNTS = ['formatVersion', 'owners', 'changes', 'expiredReleased', 'expiredCharged',
  'orphanedReleased', 'orphanedCharged', 'settledLate', 'fileSize', 'mapSize', 'pageSize', 'pages',
  'freePages', 'records', 'readers', 'readersMax', 'staleReaders', 'readerLag',
  'refusedNoEnvelope', 'laggingPid', 'waiting', 'historyChanges', 'losses'];
// How a decision can end; all other statuses are thrown.
const REASONS = {
  0: 'within_budget', [-1]: 'exceeds_budget', [-2]: 'no_envelope', [-3]: 'suspended',
};

/** A storage that is forgotten with the handle: for tests. */
const MEMORY = Symbol('budget-enforcer in memory');

// ---- errors

class BudgetError extends Error {
  constructor(status, message, result) {
    const reason = native.statusName(status);
    super(message || reason.replaceAll('_', ' '));
    this.code = `ERR_BUDGET_${reason.toUpperCase()}`;
    this.reason = reason;
    this.status = status;
    if (result !== undefined) this.result = result;
  }

  get name() {
    return this.constructor.name;
  }
}

/** All works, and the answer is no. */
class BudgetRefusedError extends BudgetError {}

/** The call, the environment or the machine is wrong. */
class BudgetFaultError extends BudgetError {}

/** For users to throw, `new BudgetExceededError(result)`; reserve() throws it, too. */
class BudgetExceededError extends BudgetRefusedError {
  constructor(result) {
    const of = result.namespace ? `${result.namespace}/${result.category}` : result.category;
    const status = Number(Object.keys(REASONS).find((key) => REASONS[key] === result.reason) ?? -1);
    super(status, `${of ?? 'budget'}: ${result.requested} asked for, ` +
      `${result.available ?? 0} available (${result.reason})`, result);
  }
}

function makeError(status, message = native.error()) {
  return new (status <= FIRST_FAULT ? BudgetFaultError : BudgetRefusedError)(status, message);
}

function check(status) {
  if (status !== 0) throw makeError(status);
}

/** The money is charged: who looks at what could not be read back is told why, and nobody else. */
function makeUnread(transaction, status) {
  const get = () => {
    throw makeError(status, 'it was charged, but its labels and further envelopes could not be ' +
      `read back: ${native.statusName(status).replaceAll('_', ' ')}`);
  };
  return Object.defineProperties(transaction, {
    labels: { get, enumerable: false }, also: { get, enumerable: false },
  });
}

// ---- amounts in results: numbers unless asked for otherwise

const readers = {
  number: (place) => units[place],
  bigint: (place) => nanos[place],
  string: (place) => native.format(nanos[place]),
};
// Up to here a bigint is a number exactly, and the quotient the number that is nearest.
const EXACT = 2n ** 53n;
const converters = {
  number: (amount) => (amount < EXACT && amount > -EXACT ? Number(amount) / 1e9
    : Number(native.format(amount))),
  bigint: (amount) => amount,
  string: (amount) => native.format(amount),
};

function choose(name, value, choices) {
  if (!choices.includes(value)) {
    throw new TypeError(`${name} is one of ${choices.join(', ')}, not ${String(value)}`);
  }
  return value;
}

// ---- holds

// Node.js 18.18 and later know them; earlier ones get them from a compiler's polyfill.
const dispose = Symbol.dispose ?? Symbol.for('Symbol.dispose');
const asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose');

/** A commit that ends with its scope: `using hold = budget.reserve(...)`. */
class Hold {
  #budget;
  #ended = false;

  constructor(budget, result) {
    this.#budget = budget;
    this.id = result.commitId;
    this.amount = result.granted;
  }

  get ended() {
    return this.#ended;
  }

  settle(amount, description, options) {
    const transaction = this.#budget.settle(this.id, amount, description, options);
    this.#ended = true;
    return transaction;
  }

  charge(amount, description, options) {
    return this.#budget.charge(this.id, amount, description, options);
  }

  release() {
    if (this.#ended) return false;
    const released = this.#budget.release(this.id);
    this.#ended = true;
    return released;
  }

  async settleAsync(amount, description, options) {
    this.#ended = true; // the end of the scope does not release what is being settled
    try {
      return await this.#budget.settleAsync(this.id, amount, description, options);
    } catch (error) {
      this.#ended = false;
      throw error;
    }
  }

  chargeAsync(amount, description, options) {
    return this.#budget.chargeAsync(this.id, amount, description, options);
  }

  async releaseAsync() {
    if (this.#ended) return false;
    this.#ended = true;
    return this.#budget.releaseAsync(this.id);
  }

  [dispose]() {
    this.release();
  }

  async [asyncDispose]() {
    await this.releaseAsync();
  }
}

// ---- observers

function warn(error) {
  process.emitWarning(`an observer of a budget threw ${error?.stack ?? String(error)}`,
    'BudgetObserverWarning');
}

/** What it throws, now or later, breaks no call. */
function tell(observe, event) {
  try {
    const said = observe(event);
    if (typeof said?.then === 'function') said.then(undefined, warn);
  } catch (error) {
    warn(error);
  }
}

// ---- what is opened

// As be-ctl takes them; all else is a directory.
const SERVER = /^(postgresql|postgres|redis|rediss|redis\+unix|unix):\/\//;
const FUNCTIONS = ['begin', 'commit', 'abort', 'get', 'put', 'del', 'next'];

function readStorage(storage) {
  if (storage === MEMORY) return true;
  if (FUNCTIONS.every((name) => typeof storage?.[name] === 'function')) return storage;
  throw new TypeError('a storage is an ordered map with the functions ' +
    `${FUNCTIONS.join(', ')}, all of them synchronous: one that answers with promises cannot ` +
    'keep check and reservation in one step, since others spend between them. Without a storage ' +
    'budgets survive restarts in the directory { path }');
}

function readPlace(options) {
  const place = options.path ?? process.env.BUDGET_ENFORCER_DIR;
  if (place === undefined || place === '') {
    throw new TypeError('where is the budget? Pass { path } or set BUDGET_ENFORCER_DIR; for one ' +
      'that is forgotten at the end, pass MEMORY as the storage');
  }
  return SERVER.test(place) ? place : path.resolve(place);
}

function readMilliseconds(options, name) {
  const value = options[name] ?? 0;
  if (Number.isInteger(value) && value >= 0 && value < 2 ** 32) return value;
  throw new TypeError(`${name} is whole milliseconds, not ${String(value)}`);
}

function readFlags({ create = true, readOnly = false, owning = !isMainThread }) {
  return (create ? 0 : EXISTING) | (readOnly ? READ_ONLY : 0) | (owning ? OWNING : 0);
}

function readObserver({ observe }) {
  if (observe === undefined || typeof observe === 'function') return observe;
  throw new TypeError(`observe is a function, not ${String(observe)}`);
}

function readOnDeath({ onDeath = 'release' }) {
  return choose('onDeath', onDeath, ['release', 'charge']) === 'charge';
}

function readWait({ waitMs = 0 }) {
  if (waitMs === 'window') return -1;
  if (typeof waitMs !== 'number' || !(waitMs >= 0)) {
    throw new TypeError(`waitMs is milliseconds, Infinity or 'window', not ${String(waitMs)}`);
  }
  return waitMs;
}

// An object as a list: a key, its value, the next key. Of a filter null is any value.
function readLabels(labels, any) {
  if (labels === undefined) return undefined;
  if (labels === null || typeof labels !== 'object' || Array.isArray(labels)) {
    throw new TypeError('labels are an object of strings');
  }
  for (const [key, value] of Object.entries(labels)) {
    if (typeof value !== 'string' && !(any && value === null)) {
      throw new TypeError(`the label ${key} is no string`);
    }
  }
  return Object.entries(labels).flat();
}

// Names of envelopes as a list: a namespace, a category, the next namespace.
function readNames(names) {
  return names?.flatMap(({ namespace, category }) => {
    if (typeof category !== 'string') throw new TypeError('also is a list of { category }');
    return [namespace, category];
  });
}

function inPairs(texts) {
  const pairs = [];
  for (let at = 0; at < texts.length; at += 2) pairs.push([texts[at], texts[at + 1]]);
  return pairs;
}

const makeLabels = (texts) => Object.fromEntries(inPairs(texts));
const makeNames = (texts) => inPairs(texts).map(([namespace, category]) => (
  { namespace, category }));
const makeId = (id) => (id === 0n ? undefined : String(id));
const makeDate = (milliseconds) => (milliseconds === 0 ? undefined : new Date(milliseconds));

function readUrl(url) {
  if (SERVER.test(url)) return url;
  throw new TypeError('a copy goes to the URL of a server; backup() is for files');
}

function readTime(name, given) {
  const time = Number(given);
  if (Number.isFinite(time)) return time;
  throw new TypeError(`${name} is a Date, or milliseconds`);
}

// What follows the description in a call of the native half.
const readCommit = (options) => [options.ttlMs ?? 0, options.detached ?? false,
  readOnDeath(options), options.key, options.keyMs ?? 0, readWait(options),
  readLabels(options.labels), readNames(options.also), options.least];
const readCharge = (options) => (options === undefined ? [] : [0, undefined, undefined, options.key,
  options.keyMs ?? 0, 0, readLabels(options.labels), readNames(options.also), undefined]);

// What is misspelt must not be lost, nor what has another type be taken for its opposite.
function checkKeys(what, given, known) {
  for (const [key, value] of Object.entries(given)) {
    if (value !== undefined && !known.includes(key)) {
      throw new TypeError(`${key} is nothing that ${what} has: ${known.join(', ')}`);
    }
  }
}

function readFlag(options, name) {
  const { [name]: value = false } = options;
  if (typeof value === 'boolean') return value;
  throw new TypeError(`${name} is true or false, not ${String(value)}`);
}

function readDay({ beginsOn = 0 }) {
  if (Number.isInteger(beginsOn)) return beginsOn;
  throw new TypeError(`beginsOn is the number of a day, not ${String(beginsOn)}`);
}

function readThresholds({ thresholds = [] }) {
  if (Array.isArray(thresholds) && thresholds.every((one) => typeof one === 'number')) {
    return thresholds;
  }
  throw new TypeError('thresholds are an array of numbers, [] for none');
}

// What the native half takes for the parent: undefined is none, and '' no name.
function readParent({ parent }) {
  if (parent === undefined || parent === null) return [undefined, undefined];
  if (typeof parent === 'object') return [parent.namespace, parent.category ?? ''];
  throw new TypeError(`parent is { namespace, category }, not ${String(parent)}`);
}

function readRaised({ raised }) {
  if (raised === undefined || raised === null) return [undefined, 0];
  const { amount, until = 0 } = raised;
  if (amount !== undefined) return [amount, readTime('until', until)];
  throw new TypeError('raised is { amount, until }, or null for the end of it');
}

// What is to be set.
function readMask(settings) {
  let mask = 0;
  for (const [key, value] of Object.entries(settings)) {
    if (value === undefined) continue;
    if (key === 'zone' || key === 'beginsOn') {
      if (settings.period === undefined) throw new TypeError(`${key} is set with a period`);
    } else if (!Object.hasOwn(SETTINGS, key)) {
      throw new TypeError(`${key} is no setting: ${Object.keys(SETTINGS).join(', ')}`);
    } else if (key !== 'clearSpent' || value) {
      mask |= SETTINGS[key];
    }
  }
  return mask;
}

// Behind the handle, of native.change() and native.set().
function newArguments(operation, options) {
  const { category, limit, period = 'total', startsAt } = options;
  return [operation, category, limit, period, ...readParent(options),
    startsAt === undefined ? 0 : readTime('startsAt', startsAt), readFlag(options, 'suspended'),
    options.zone, readDay(options), options.rollOver, readFlag(options, 'observeOnly')];
}

function setArguments(category, settings) {
  const { name } = settings;
  readFlag(settings, 'clearSpent');
  return [category, readMask(settings), settings.limit, settings.period, settings.zone,
    readDay(settings), readFlag(settings, 'suspended'), readFlag(settings, 'observeOnly'),
    settings.rollOver, readThresholds(settings), ...readRaised(settings), name?.namespace,
    name?.category, ...readParent(settings)];
}

function changeArguments(change) {
  if (change === null || typeof change !== 'object') {
    throw new TypeError(`a change is { operation, category, ... }, not ${String(change)}`);
  }
  const { operation, namespace, ...rest } = change;
  if (!Object.hasOwn(CHANGES, operation)) {
    throw new TypeError(`the operation of a change is one of ${Object.keys(CHANGES).join(', ')}, ` +
      `not ${String(operation)}`);
  }
  const { category, ...settings } = rest;
  if (operation !== 'set') checkKeys(`"${operation}"`, rest, KEYS[operation]);
  return [CHANGES[operation], namespace, operation === 'set' ? setArguments(category, settings)
    : newArguments(CHANGES[operation], rest)];
}

function changesArguments(changes) {
  if (changes.length > CHANGES_MAX) {
    throw makeError(INVALID_ARGUMENT, `up to ${CHANGES_MAX} changes are made together, not ` +
      `${changes.length}`);
  }
  return changes.map((change, index) => {
    try {
      return changeArguments(change);
    } catch (error) {
      if (error instanceof Error) error.failed = index;
      throw error;
    }
  });
}

function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    if (signal?.aborted) wake();
    else signal?.addEventListener('abort', wake, { once: true });
  });
}

/** For the constructor: open from this handle, whose observer is told by one handle at a time. */
class Origin {
  constructor(handle, telling) {
    this.handle = handle;
    this.telling = telling;
  }
}

class BudgetEnforcer {
  #handle;
  #amounts;
  #read;
  #convert;
  #namespace;
  #observe;
  #telling; // shared by all handles that share their events

  constructor(options = {}, storage = undefined) {
    const durability = choose('durability', options.durability ?? 'full', ['full', 'process']);
    const amounts = choose('amounts', options.amounts ?? 'number', Object.keys(readers));
    const origin = storage instanceof Origin ? storage : undefined;
    const own = storage === undefined || origin ? undefined : readStorage(storage);
    const place = own === undefined && !origin ? readPlace(options) : undefined;
    this.#amounts = amounts;
    this.#read = readers[amounts];
    this.#convert = converters[amounts];
    this.#namespace = options.namespace ?? '';
    this.#observe = readObserver(options);
    this.#telling = origin?.telling ?? { now: false };
    const handle = origin ? native.openNamespace(origin.handle, options.namespace)
      : native.open(place, options.namespace, durability === 'process', readFlags(options), own,
        this.#observe !== undefined, readMilliseconds(options, 'leaseMs'),
        readMilliseconds(options, 'checkAgeMs'));
    if (typeof handle === 'number') throw makeError(handle);
    this.#handle = handle;
    if (this.#observe !== undefined) this.#tell();
  }

  get namespace() {
    return this.#namespace;
  }

  /** Another handle, with the same options, for as good as nothing. Either may be closed first. */
  openNamespace(namespace) {
    return new BudgetEnforcer({ namespace, amounts: this.#amounts, observe: this.#observe },
      new Origin(this.#handle, this.#telling));
  }

  // ---- the observer is told when a call is over and its figures are read

  #told(make) {
    if (this.#observe === undefined) return make();
    try {
      return make();
    } finally {
      this.#tell();
    }
  }

  /** An observer may call: what it is to be told of that comes after what it is told now. */
  #tell() {
    if (this.#telling.now) return;
    this.#telling.now = true;
    try {
      for (let events; (events = native.events(this.#handle)).length > 0;) {
        for (const event of events) tell(this.#observe, this.#event(event));
      }
    } finally {
      this.#telling.now = false;
    }
  }

  #event(values) {
    return {
      operation: values[0],
      status: values[1],
      repeated: values[2] !== 0,
      commitId: makeId(values[3]),
      transactionId: makeId(values[4]),
      amount: this.#convert(values[5]),
      timestamp: new Date(values[6]),
      namespace: values[7],
      category: values[8],
      envelope: values[9].length > 0 ? this.#makeEnvelope(values[9], 0) : undefined,
      alert: values[10].length > 0 ? this.#makeAlert(values[10], 0) : undefined,
    };
  }

  // ---- figures into objects

  #decision(status, category, commitId) {
    const reason = REASONS[status];
    if (reason === undefined) throw makeError(status);
    const read = this.#read;
    const result = {
      permitted: status === 0,
      reason,
      requested: read(0),
      available: read(1),
      limit: read(2),
      spent: read(3),
      committed: read(4),
      namespace: this.#namespace,
      category,
      commitId,
    };
    // The one that refused may be an ancestor.
    if (status === EXCEEDS_BUDGET || status === SUSPENDED) {
      [result.namespace, result.category] = native.names(0);
      result.windowEnd = makeDate(units[7]);
    }
    return result;
  }

  #committed(status, category) {
    const isGranted = status === 0;
    const result = this.#decision(status, category, isGranted ? String(nanos[5]) : undefined);
    if (isGranted) result.granted = this.#read(6);
    return result;
  }

  #transaction(status) {
    check(status);
    const [namespace, category, description, labels, also] = native.names(1);
    const read = this.#read, unread = units[5];
    const transaction = {
      id: String(nanos[2]),
      kind: KINDS[units[3]],
      commitId: makeId(nanos[3]),
      amount: read(0),
      held: read(1),
      late: units[4] !== 0,
      timestamp: new Date(units[2]),
      namespace,
      category,
      description,
      labels: makeLabels(labels),
      also: makeNames(also),
      corrects: makeId(nanos[4]),
      envelopeId: String(nanos[5]),
    };
    return unread === 0 ? transaction : makeUnread(transaction, unread);
  }

  #envelope(status) {
    check(status);
    return this.#makeEnvelope(native.lastEnvelope(), 0);
  }

  // From what add_envelope() in native/listings.c has put there.
  #makeEnvelope(values, at) {
    const convert = this.#convert, flags = values[at + 9], raise = values[at + 20];
    return {
      id: String(values[at]),
      namespace: values[at + 1],
      category: values[at + 2],
      limit: convert(values[at + 15]),
      available: convert(values[at + 16]),
      spent: convert(values[at + 17]),
      committed: convert(values[at + 18]),
      utilization: values[at + 10],
      period: PERIODS[values[at + 5]],
      periodStart: new Date(values[at + 6]),
      periodEnd: makeDate(values[at + 7]),
      pendingCommits: values[at + 25],
      suspended: (flags & 1) !== 0,
      parent: flags & 2 ? { namespace: values[at + 3], category: values[at + 4] } : undefined,
      limitNow: convert(values[at + 19]),
      raised: raise === 0n ? undefined
        : { amount: convert(raise), until: new Date(values[at + 8]) },
      rollOver: convert(values[at + 21]),
      carried: convert(values[at + 22]),
      charged: convert(values[at + 23]),
      givenBack: convert(values[at + 24]),
      zone: values[at + 11] === '' ? undefined : values[at + 11],
      beginsOn: values[at + 12],
      observeOnly: (flags & 4) !== 0,
      thresholds: values[at + 13],
      passed: values[at + 14],
      commitsGranted: values[at + 26],
      refused: { exceedsBudget: values[at + 27], suspended: values[at + 28] },
      excused: values[at + 29],
    };
  }

  #released(status) {
    if (status === 0) return true;
    if (status <= ALREADY_RELEASED && status >= ALREADY_CHARGED) return false;
    throw makeError(status);
  }

  // ---- asking and spending

  check(category, amount) {
    if (this.#observe !== undefined) {
      return this.#told(() => this.#decision(native.check(this.#handle, category, amount),
        category));
    }
    return this.#decision(native.check(this.#handle, category, amount), category);
  }

  commit(category, amount, description, options = {}) {
    return this.#told(() => this.#committed(native.call(this.#handle, COMMIT, category, amount,
      description, ...readCommit(options)), category));
  }

  record(category, amount, description, options) {
    return this.#told(() => this.#transaction(native.call(this.#handle, RECORD, category, amount,
      description, ...readCharge(options))));
  }

  settle(commitId, amount, description, options) {
    return this.#told(() => this.#transaction(native.call(this.#handle, SETTLE, commitId, amount,
      description, ...readCharge(options))));
  }

  /** A part of what the commit holds, which goes on holding the rest. */
  charge(commitId, amount, description, options) {
    return this.#told(() => this.#transaction(native.call(this.#handle, CHARGE, commitId, amount,
      description, ...readCharge(options))));
  }

  /** Gives back what a transaction has charged too much. */
  correct(transactionId, amount, description, options) {
    return this.#told(() => this.#transaction(native.call(this.#handle, CORRECT, transactionId,
      amount, description, ...readCharge(options))));
  }

  release(commitId) {
    return this.#told(() => this.#released(native.call(this.#handle, RELEASE, commitId)));
  }

  extend(commitId, amount, ttlMs = 0) {
    return this.#told(() => this.#decision(native.call(this.#handle, EXTEND, commitId, amount,
      undefined, ttlMs), undefined, String(commitId)));
  }

  reserve(category, amount, description, options) {
    const result = this.commit(category, amount, description, options);
    if (!result.permitted) throw new BudgetExceededError(result);
    return new Hold(this, result);
  }

  // ---- the same on threads: the event loop goes on while the disk flushes

  async #startUntil(givenUp, make, ...rest) {
    const promise = native.callOnThread((status) => this.#told(() => make(status)), givenUp,
      this.#handle, ...rest);
    if (typeof promise === 'number') throw makeError(promise);
    return promise;
  }

  #start(make, ...rest) {
    return this.#startUntil(undefined, make, ...rest);
  }

  async #startUntilAborted(signal, make, ...rest) {
    const givenUp = new Uint8Array(1); // what the thread looks at, while it waits
    const giveUp = () => { givenUp[0] = 1; };
    signal?.throwIfAborted();
    signal?.addEventListener('abort', giveUp, { once: true });
    return this.#startUntil(givenUp, make, ...rest)
      .finally(() => signal?.removeEventListener('abort', giveUp));
  }

  async commitAsync(category, amount, description, options = {}) {
    const { signal } = options;
    const result = await this.#startUntilAborted(signal,
      (status) => this.#committed(status, category), COMMIT, category, amount, description,
      ...readCommit(options));
    if (signal?.aborted) {
      // With a key it may be that of an earlier request, and its next one finds it.
      if (result.permitted && options.key === undefined) await this.releaseAsync(result.commitId);
      throw signal.reason;
    }
    return result;
  }

  recordAsync(category, amount, description, options) {
    return this.#start((status) => this.#transaction(status), RECORD, category, amount,
      description, ...readCharge(options));
  }

  settleAsync(commitId, amount, description, options) {
    return this.#start((status) => this.#transaction(status), SETTLE, commitId, amount,
      description, ...readCharge(options));
  }

  chargeAsync(commitId, amount, description, options) {
    return this.#start((status) => this.#transaction(status), CHARGE, commitId, amount,
      description, ...readCharge(options));
  }

  correctAsync(transactionId, amount, description, options) {
    return this.#start((status) => this.#transaction(status), CORRECT, transactionId, amount,
      description, ...readCharge(options));
  }

  releaseAsync(commitId) {
    return this.#start((status) => this.#released(status), RELEASE, commitId);
  }

  extendAsync(commitId, amount, ttlMs = 0) {
    return this.#start((status) => this.#decision(status, undefined, String(commitId)), EXTEND,
      commitId, amount, undefined, ttlMs);
  }

  async reserveAsync(category, amount, description, options) {
    const result = await this.commitAsync(category, amount, description, options);
    if (!result.permitted) throw new BudgetExceededError(result);
    return new Hold(this, result);
  }

  // ---- envelopes

  createEnvelope(options) {
    checkKeys('an envelope', options, [...OF_NEW, 'mustBeNew']);
    return this.#told(() => this.#envelope(native.change(this.#handle,
      ...newArguments(options.mustBeNew ? CREATE : ENSURE, options))));
  }

  /** Changes what is named, and keeps the rest. */
  setEnvelope(category, settings) {
    return this.#told(() => this.#envelope(native.set(this.#handle,
      ...setArguments(category, settings))));
  }

  /** Makes all changes in their order, or none of them. */
  apply(changes) {
    const list = changesArguments(changes);
    units[0] = list.length; // until the call says which
    this.#told(() => this.#applied(native.call(this.#handle, APPLY, list), list.length));
  }

  async applyAsync(changes) {
    const list = changesArguments(changes);
    return this.#start((status) => this.#applied(status, list.length), APPLY, list);
  }

  #applied(status, count) {
    if (status === 0) return;
    const error = makeError(status), failed = units[0];
    if (failed < count) error.failed = failed;
    throw error;
  }

  #change(operation, category, limit) {
    this.#told(() => check(native.change(this.#handle, operation, category, limit)));
  }

  setLimit(category, limit) {
    this.#change(SET_LIMIT, category, limit);
  }

  suspend(category) {
    this.#change(SUSPEND, category);
  }

  resume(category) {
    this.#change(RESUME, category);
  }

  reset(category) {
    this.#change(RESET, category);
  }

  removeEnvelope(category) {
    this.#change(REMOVE, category);
  }

  utilization(category) {
    return this.#envelope(native.utilization(this.#handle, category));
  }

  // ---- listings, a page at a time

  // `width` values for each are turned into an object by `make`, which says what follows it.
  *#list(list, width, filter, make, last = [filter.after ?? 0, undefined, undefined]) {
    const { pageSize = 256 } = filter;
    const labels = readLabels(filter.labels, true);
    for (;;) {
      const page = [];
      check(list(this.#handle, pageSize, filter.namespace, filter.category,
        Number(filter.since ?? 0), Number(filter.until ?? 0), ...last, page, labels));
      for (let at = 0; at < page.length; at += width) {
        last = [page[at], undefined, undefined];
        if (list === native.envelopes) last = [0, page[at + 1], page[at + 2]];
        yield make(page, at);
      }
      if (page.length === 0) return;
    }
  }

  /** All envelopes, of every namespace unless one is named, in order of their names. */
  envelopes(filter = {}) {
    return this.#list(native.envelopes, 30, filter, (page, at) => this.#makeEnvelope(page, at),
      [0, undefined, undefined]);
  }

  /** The commits that hold money, in the order in which they were made. */
  commits(filter = {}) {
    return this.#list(native.commits, 13, filter, (page, at) => ({
      id: String(page[at]),
      amount: this.#convert(page[at + 1]),
      state: STATES[page[at + 2]],
      created: new Date(page[at + 3]),
      deadline: makeDate(page[at + 4]),
      detached: (page[at + 5] & 1) !== 0,
      ownerAlive: (page[at + 5] & 2) !== 0,
      onDeath: page[at + 5] & 4 ? 'charge' : 'release',
      ownerId: makeId(page[at + 6]),
      ownerPid: page[at + 7],
      namespace: page[at + 8],
      category: page[at + 9],
      description: page[at + 10],
      labels: makeLabels(page[at + 11]),
      also: makeNames(page[at + 12]),
    }));
  }

  /** The ledger, in the order in which it was written. */
  transactions(filter = {}) {
    return this.#list(native.transactions, 14, filter, (page, at) => ({
      id: String(page[at]),
      kind: KINDS[page[at + 5]],
      commitId: makeId(page[at + 1]),
      amount: this.#convert(page[at + 2]),
      held: this.#convert(page[at + 3]),
      late: page[at + 6] !== 0,
      timestamp: new Date(page[at + 4]),
      namespace: page[at + 7],
      category: page[at + 8],
      description: page[at + 9],
      labels: makeLabels(page[at + 10]),
      also: makeNames(page[at + 11]),
      corrects: makeId(page[at + 12]),
      envelopeId: String(page[at + 13]),
    }));
  }

  /** What pruning has removed from the ledger, by UTC day, and the last transaction in it. */
  dailySums(filter = {}) {
    const page = [];
    check(native.dailySums(this.#handle, 0, filter.namespace, filter.category,
      Number(filter.since ?? 0), Number(filter.until ?? 0), 0, undefined, undefined, page));
    const lastId = String(page.pop());
    const sums = [];
    for (let at = 0; at < page.length; at += 10) {
      sums.push({
        kind: KINDS[page[at]],
        day: new Date(page[at + 1]),
        first: new Date(page[at + 2]),
        last: new Date(page[at + 3]),
        amount: this.#convert(page[at + 4]),
        count: page[at + 5],
        envelopeId: String(page[at + 6]),
        namespace: page[at + 7],
        category: page[at + 8],
        also: makeNames(page[at + 9]),
      });
    }
    return { sums, lastId };
  }

  /** What crossed a threshold, in the order in which it did. */
  alerts(filter = {}) {
    return this.#list(native.alerts, 12, filter, (page, at) => this.#makeAlert(page, at));
  }

  // From what add_alert() in native/listings.c has put there.
  #makeAlert(values, at) {
    return {
      id: String(values[at]),
      transactionId: makeId(values[at + 1]),
      limit: this.#convert(values[at + 2]),
      spent: this.#convert(values[at + 3]),
      percent: values[at + 4],
      timestamp: new Date(values[at + 5]),
      periodEnd: makeDate(values[at + 6]),
      done: makeDate(values[at + 7]),
      namespace: values[at + 8],
      category: values[at + 9],
      spender: values[at + 11] === '' ? undefined
        : { namespace: values[at + 10], category: values[at + 11] },
    };
  }

  /** alerts(), and then those to come, until it is aborted: it looks again after each interval. */
  async *followAlerts({ intervalMs = 1000, signal, ...filter } = {}) {
    for (let { after } = filter; !signal?.aborted;) {
      for (const alert of this.alerts({ ...filter, after })) {
        after = alert.id;
        yield alert;
        if (signal?.aborted) return;
      }
      await sleep(intervalMs, signal);
    }
  }

  /** True: this call was the first to mark it as done. */
  alertDone(id) {
    return this.#told(() => {
      const status = native.alertDone(this.#handle, id);
      if (status !== ALREADY_DONE) check(status);
      return status === 0;
    });
  }

  // ---- upkeep

  /** Removes all envelopes of the handle's namespace; with `release` also what is committed. */
  endNamespace({ release = false } = {}) {
    return this.#told(() => this.#ended(native.call(this.#handle, END_NAMESPACE, release)));
  }

  endNamespaceAsync({ release = false } = {}) {
    return this.#start((status) => this.#ended(status), END_NAMESPACE, release);
  }

  #ended(status) {
    check(status);
    return { removed: units[0], released: units[1] };
  }

  #counted(status) {
    check(status);
    return units[0];
  }

  /** Ends what dead processes hold, and what is past its deadline; how many. */
  reap() {
    return this.#told(() => this.#counted(native.call(this.#handle, REAP)));
  }

  reapAsync() {
    return this.#start((status) => this.#counted(status), REAP);
  }

  /** Removes the lines of the ledger from before then; how many. It takes its time. */
  prune(before) {
    return this.#told(() => this.#counted(native.call(this.#handle, PRUNE,
      readTime('before', before))));
  }

  async pruneAsync(before, { signal } = {}) {
    return this.#startUntilAborted(signal, (status) => {
      if (status === STOPPED) signal?.throwIfAborted();
      return this.#counted(status);
    }, PRUNE, readTime('before', before));
  }

  /** Copies the environment, as it is at one moment, to a new file. */
  backup(file) {
    check(native.call(this.#handle, BACKUP, path.resolve(file)));
  }

  async backupAsync(file) {
    return this.#start(check, BACKUP, path.resolve(file));
  }

  /** The same into a server, which must have none there. */
  copy(url) {
    check(native.call(this.#handle, COPY, readUrl(url)));
  }

  async copyAsync(url, { signal } = {}) {
    return this.#startUntilAborted(signal, (status) => {
      if (status === STOPPED) signal?.throwIfAborted();
      check(status);
    }, COPY, readUrl(url));
  }

  /** Recomputes every balance: what differs, in sentences. */
  verify() {
    const findings = [];
    check(native.verify(this.#handle, findings));
    return findings;
  }

  /** The processes that have the environment open to change it, and those that died so. */
  owners() {
    const page = [];
    check(native.owners(this.#handle, page));
    const owners = [];
    for (let at = 0; at < page.length; at += 5) {
      const [id, pid, pidNamespace, pidHere, alive] = page.slice(at, at + 5);
      owners.push({ id: String(id), pid, pidNamespace, pidHere, alive: alive !== 0 });
    }
    return owners;
  }

  /** The environment from outside. */
  stats() {
    const page = [];
    check(native.stats(this.#handle, page));
    const [created, flags, nextEnvelope, nextCommit, nextTransaction, pruned, ...counts] = page;
    return {
      created: new Date(created),
      durability: flags & 1 ? 'process' : 'full',
      refusalsKnown: (flags & 2) !== 0,
      wentBack: (flags & 4) !== 0,
      readsExcludeWrites: (flags & 8) !== 0,
      nextEnvelopeId: String(nextEnvelope),
      nextCommitId: String(nextCommit),
      nextTransactionId: String(nextTransaction),
      prunedId: makeId(pruned),
      ...Object.fromEntries(COUNTS.map((name, at) => [name, counts[at]])),
    };
  }

  close() {
    this.#told(() => native.close(this.#handle));
  }

  [dispose]() {
    this.close();
  }
}

/** Makes an environment of a backup, in a directory that is new or empty. */
function restore(backup, directory) {
  check(native.restore(path.resolve(backup), path.resolve(directory)));
}

exports.BudgetEnforcer = BudgetEnforcer;
exports.BudgetError = BudgetError;
exports.BudgetRefusedError = BudgetRefusedError;
exports.BudgetExceededError = BudgetExceededError;
exports.BudgetFaultError = BudgetFaultError;
exports.Hold = Hold;
exports.MEMORY = MEMORY;
exports.restore = restore;
exports.version = native.version();
