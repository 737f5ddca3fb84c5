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
const CREATE = 8, ENSURE = 9, SET_LIMIT = 10, SUSPEND = 11, RESUME = 12, RESET = 13, REMOVE = 14;
// enum be_open_flags
const EXISTING = 1, READ_ONLY = 2, OWNING = 8;
// enum be_status
const EXCEEDS_BUDGET = -1, SUSPENDED = -3, ALREADY_RELEASED = -11, ALREADY_CHARGED = -14;
const FIRST_FAULT = -100;

const PERIODS = ['total', 'hourly', 'daily', 'weekly', 'monthly', 'quarterly', 'yearly'];
const KINDS = [undefined, 'record', 'settle', 'expired', 'orphaned', 'charge'];
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

// ---- amounts in results: numbers unless asked for otherwise

const readers = {
  number: (place) => units[place],
  bigint: (place) => nanos[place],
  string: (place) => native.format(nanos[place]),
};
const converters = {
  number: (amount) => Number(native.format(amount)),
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
    this.amount = result.requested;
  }

  get ended() {
    return this.#ended;
  }

  settle(amount, description) {
    const transaction = this.#budget.settle(this.id, amount, description);
    this.#ended = true;
    return transaction;
  }

  release() {
    if (this.#ended) return false;
    const released = this.#budget.release(this.id);
    this.#ended = true;
    return released;
  }

  async settleAsync(amount, description) {
    this.#ended = true; // the end of the scope does not release what is being settled
    try {
      return await this.#budget.settleAsync(this.id, amount, description);
    } catch (error) {
      this.#ended = false;
      throw error;
    }
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

// ---- what is opened

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
  if (/^rediss?:\/\//.test(place)) {
    throw new TypeError(`${place}: this version of the library keeps budgets in directories only`);
  }
  return path.resolve(place);
}

function readFlags({ create = true, readOnly = false, owning = !isMainThread }) {
  return (create ? 0 : EXISTING) | (readOnly ? READ_ONLY : 0) | (owning ? OWNING : 0);
}

function readOnDeath({ onDeath = 'release' }) {
  return choose('onDeath', onDeath, ['release', 'charge']) === 'charge';
}

class BudgetEnforcer {
  #handle;
  #read;
  #convert;
  #namespace;

  constructor(options = {}, storage = undefined) {
    const durability = choose('durability', options.durability ?? 'full', ['full', 'process']);
    const amounts = choose('amounts', options.amounts ?? 'number', Object.keys(readers));
    const own = storage === undefined ? undefined : readStorage(storage);
    const place = own === undefined ? readPlace(options) : undefined;
    this.#read = readers[amounts];
    this.#convert = converters[amounts];
    this.#namespace = options.namespace ?? '';
    const handle = native.open(place, options.namespace, durability === 'process',
      readFlags(options), own);
    if (typeof handle === 'number') throw makeError(handle);
    this.#handle = handle;
  }

  get namespace() {
    return this.#namespace;
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
    }
    return result;
  }

  #committed(status, category) {
    return this.#decision(status, category, status === 0 ? String(nanos[5]) : undefined);
  }

  #transaction(status) {
    check(status);
    const [namespace, category, description] = native.names(2);
    const read = this.#read;
    return {
      id: String(nanos[2]),
      kind: KINDS[units[3]],
      commitId: nanos[3] === 0n ? undefined : String(nanos[3]),
      amount: read(0),
      held: read(1),
      late: units[4] !== 0,
      timestamp: new Date(units[2]),
      namespace,
      category,
      description,
    };
  }

  #envelope(status) {
    check(status);
    const [namespace, category, parentNamespace, parentCategory] = native.names(1);
    const read = this.#read, flags = units[8];
    return {
      id: String(nanos[4]),
      namespace,
      category,
      limit: read(0),
      available: read(1),
      spent: read(2),
      committed: read(3),
      utilization: units[9],
      period: PERIODS[units[4]],
      periodStart: new Date(units[5]),
      periodEnd: units[6] === 0 ? undefined : new Date(units[6]),
      pendingCommits: units[7],
      suspended: (flags & 1) !== 0,
      parent: flags & 2 ? { namespace: parentNamespace, category: parentCategory } : undefined,
    };
  }

  #released(status) {
    if (status === 0) return true;
    if (status <= ALREADY_RELEASED && status >= ALREADY_CHARGED) return false;
    throw makeError(status);
  }

  // ---- asking and spending

  check(category, amount) {
    return this.#decision(native.check(this.#handle, category, amount), category);
  }

  commit(category, amount, description, options = {}) {
    return this.#committed(native.call(this.#handle, COMMIT, category, amount, description,
      options.ttlMs ?? 0, options.detached ?? false, readOnDeath(options)), category);
  }

  record(category, amount, description) {
    return this.#transaction(native.call(this.#handle, RECORD, category, amount, description));
  }

  settle(commitId, amount, description) {
    return this.#transaction(native.call(this.#handle, SETTLE, commitId, amount, description));
  }

  release(commitId) {
    return this.#released(native.call(this.#handle, RELEASE, commitId));
  }

  extend(commitId, amount, ttlMs = 0) {
    return this.#decision(native.call(this.#handle, EXTEND, commitId, amount, undefined, ttlMs),
      undefined, String(commitId));
  }

  reserve(category, amount, description, options) {
    const result = this.commit(category, amount, description, options);
    if (!result.permitted) throw new BudgetExceededError(result);
    return new Hold(this, result);
  }

  // ---- the same on threads: the event loop goes on while the disk flushes

  async #start(make, ...rest) {
    const promise = native.callOnThread(make, this.#handle, ...rest);
    if (typeof promise === 'number') throw makeError(promise);
    return promise;
  }

  async commitAsync(category, amount, description, options = {}) {
    const { signal } = options;
    signal?.throwIfAborted();
    const result = await this.#start((status) => this.#committed(status, category), COMMIT,
      category, amount, description, options.ttlMs ?? 0, options.detached ?? false,
      readOnDeath(options));
    if (signal?.aborted) {
      if (result.permitted) await this.releaseAsync(result.commitId);
      throw signal.reason;
    }
    return result;
  }

  recordAsync(category, amount, description) {
    return this.#start((status) => this.#transaction(status), RECORD, category, amount,
      description);
  }

  settleAsync(commitId, amount, description) {
    return this.#start((status) => this.#transaction(status), SETTLE, commitId, amount,
      description);
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
    const { category, limit, period = 'total', parent, startsAt, suspended = false } = options;
    return this.#envelope(native.change(this.#handle, options.mustBeNew ? CREATE : ENSURE,
      category, limit, period, parent?.namespace, parent?.category,
      startsAt === undefined ? 0 : Number(startsAt), suspended));
  }

  setLimit(category, limit) {
    check(native.change(this.#handle, SET_LIMIT, category, limit));
  }

  suspend(category) {
    check(native.change(this.#handle, SUSPEND, category));
  }

  resume(category) {
    check(native.change(this.#handle, RESUME, category));
  }

  reset(category) {
    check(native.change(this.#handle, RESET, category));
  }

  removeEnvelope(category) {
    check(native.change(this.#handle, REMOVE, category));
  }

  utilization(category) {
    return this.#envelope(native.utilization(this.#handle, category));
  }

  // ---- listings, a page at a time

  *transactions(filter = {}) {
    const { pageSize = 256 } = filter;
    for (let last = filter.after ?? 0; ;) {
      const page = [];
      check(native.transactions(this.#handle, pageSize, filter.namespace, filter.category,
        Number(filter.since ?? 0), Number(filter.until ?? 0), last, undefined, undefined, page));
      for (let at = 0; at < page.length; at += 10) {
        last = page[at];
        yield {
          id: String(last),
          kind: KINDS[page[at + 5]],
          commitId: page[at + 1] === 0n ? undefined : String(page[at + 1]),
          amount: this.#convert(page[at + 2]),
          held: this.#convert(page[at + 3]),
          late: page[at + 6] !== 0,
          timestamp: new Date(page[at + 4]),
          namespace: page[at + 7],
          category: page[at + 8],
          description: page[at + 9],
        };
      }
      if (page.length === 0) return;
    }
  }

  /** The names of all envelopes, as [namespace, category]. */
  *envelopeNames(filter = {}) {
    const { pageSize = 256 } = filter;
    for (let after = [undefined, undefined]; ;) {
      const page = [];
      check(native.envelopes(this.#handle, pageSize, filter.namespace, filter.category, 0, 0, 0,
        after[0], after[1], page));
      for (let at = 0; at < page.length; at += 2) {
        after = [page[at], page[at + 1]];
        yield after;
      }
      if (page.length === 0) return;
    }
  }

  /** Recomputes every balance: what differs, in sentences. */
  verify() {
    const findings = [];
    check(native.verify(this.#handle, findings));
    return findings;
  }

  close() {
    native.close(this.#handle);
  }

  [dispose]() {
    this.close();
  }
}

exports.BudgetEnforcer = BudgetEnforcer;
exports.BudgetError = BudgetError;
exports.BudgetRefusedError = BudgetRefusedError;
exports.BudgetExceededError = BudgetExceededError;
exports.BudgetFaultError = BudgetFaultError;
exports.Hold = Hold;
exports.MEMORY = MEMORY;
exports.version = native.version();
