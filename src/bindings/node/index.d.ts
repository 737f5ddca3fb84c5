// SPDX-License-Identifier: Apache-2.0
/** A number stands for the nearest of nine decimals, so that 0.1 + 0.2 is 0.3. A string is exact,
 * or refused. A bigint is in nanos (10⁻⁹). */
export type AmountInput = number | string | bigint;
/** Ids are strings of digits: they have 64 bits, and pass JSON. Any of the three is taken. */
export type Id = string | number | bigint;
export type Period = 'total' | 'hourly' | 'daily' | 'weekly' | 'monthly' | 'quarterly' | 'yearly';
export type Reason = 'within_budget' | 'exceeds_budget' | 'no_envelope' | 'suspended';
/** What amounts are in results, by the option `amounts`. */
export interface AmountKinds { number: number; string: string; bigint: bigint }
export type Amount<K extends keyof AmountKinds = 'number'> = AmountKinds[K];

export interface BudgetCheckResult<K extends keyof AmountKinds = 'number'> {
  readonly permitted: boolean;
  readonly reason: Reason;
  readonly requested: Amount<K>;
  readonly available: Amount<K>;
  readonly limit: Amount<K>;
  readonly spent: Amount<K>;
  readonly committed: Amount<K>;
  /** Of the envelope that refused, which may be an ancestor of the one asked for. */
  readonly namespace: string;
  readonly category: string;
  /** When the window of the one that refused ends; undefined: never, or nobody refused. */
  readonly windowEnd?: Date;
}

export interface CommitResult<K extends keyof AmountKinds = 'number'> extends BudgetCheckResult<K> {
  /** When it is permitted. */
  readonly commitId?: string;
  /** What it holds, when it is permitted: with `least` it may be less than was requested. */
  readonly granted?: Amount<K>;
}

/** A commit that holds money. */
export interface PendingCommit<K extends keyof AmountKinds = 'number'> {
  readonly id: string;
  readonly category: string;
  readonly amount: Amount<K>;
}

/** As commits() lists it. */
export interface Commit<K extends keyof AmountKinds = 'number'> extends PendingCommit<K> {
  /** Expired and orphaned ones hold money until somebody needs it. */
  readonly state: 'pending' | 'expired' | 'orphaned';
  readonly created: Date;
  readonly deadline?: Date;
  readonly detached: boolean;
  readonly onDeath: 'release' | 'charge';
  /** As owners() has it. */
  readonly ownerId?: string;
  readonly ownerPid: number;
  readonly ownerAlive: boolean;
  readonly namespace: string;
  readonly description: string;
  readonly labels: Labels;
  readonly also: readonly Required<EnvelopeName>[];
}

/** A process that has the environment open to change it, or one that died so, until what it held
 * was reaped. */
export interface Owner {
  readonly id: string;
  /** In its own pid namespace, whose number this is; 0: not known. */
  readonly pid: number;
  readonly pidNamespace: number;
  /** As this process would see it; 0: not at all. */
  readonly pidHere: number;
  readonly alive: boolean;
}

/** An environment from outside. What is about files, pages and readers is 0 for a server. */
export interface Statistics {
  readonly created: Date;
  readonly durability: 'full' | 'process';
  readonly formatVersion: number;
  /** Live processes that have it open to change it. */
  readonly owners: number;
  /** Commits that wait for money now. */
  readonly waiting: number;
  /** Transactions of the storage so far that changed something. */
  readonly changes: number;
  readonly nextEnvelopeId: string;
  readonly nextCommitId: string;
  readonly nextTransactionId: string;
  /** The last transaction that pruning has removed. */
  readonly prunedId?: string;
  /** Commits that were reaped so far, or settled late. */
  readonly expiredReleased: number;
  readonly expiredCharged: number;
  readonly orphanedReleased: number;
  readonly orphanedCharged: number;
  readonly settledLate: number;
  /** Checks and commits so far that named no envelope. */
  readonly refusedNoEnvelope: number;
  /** False: refusals cannot be counted, and all their counts are 0. */
  readonly refusalsKnown: boolean;
  /** Bytes, and those that it can grow to. */
  readonly fileSize: number;
  readonly mapSize: number;
  readonly pageSize: number;
  readonly pages: number;
  readonly freePages: number;
  readonly records: number;
  readonly readers: number;
  readonly readersMax: number;
  readonly staleReaders: number;
  /** Changes since the oldest state that is being read now, and the process that reads it. */
  readonly readerLag: number;
  readonly laggingPid: number;
  /** The newest change was not whole when the machine came up, and was dropped: nobody had been
   * told of it. */
  readonly wentBack: boolean;
  readonly readsExcludeWrites: boolean;
  /** Of a server: how often its history was found to be another, and how many found changes
   * gone. */
  readonly historyChanges: number;
  readonly losses: number;
}

export interface Transaction<K extends keyof AmountKinds = 'number'> {
  readonly id: string;
  readonly kind: 'record' | 'settle' | 'expired' | 'orphaned' | 'charge' | 'correction';
  readonly commitId?: string;
  readonly amount: Amount<K>;
  readonly held: Amount<K>;
  /** Settled after the commit had been reaped. */
  readonly late: boolean;
  readonly timestamp: Date;
  readonly namespace: string;
  readonly category: string;
  readonly description: string;
  /** Those of its commit, too. In the answer to a charge they and `also` throw a BudgetFaultError
   * when the ledger could not be read then: it was charged, and transactions() has them. */
  readonly labels: Labels;
  /** Further envelopes that were charged. */
  readonly also: readonly Required<EnvelopeName>[];
  /** Of a correction, whose amount is 0 or less: the transaction that it takes from. */
  readonly corrects?: string;
  /** It stays when the envelope gets another name. */
  readonly envelopeId: string;
}

/** What pruning has removed of a UTC day: transactions of one kind over the same envelopes. */
export interface DailySum<K extends keyof AmountKinds = 'number'> {
  readonly kind: Transaction['kind'];
  readonly day: Date;
  readonly first: Date;
  readonly last: Date;
  readonly amount: Amount<K>;
  readonly count: number;
  readonly envelopeId: string;
  readonly namespace: string;
  readonly category: string;
  readonly also: readonly Required<EnvelopeName>[];
}

/** What it is for, or for whom: up to 8, such as { customer: 'acme', model: 'small' }. */
export type Labels = Readonly<Record<string, string>>;

export interface EnvelopeName { namespace?: string; category: string }

export interface SpendingEnvelope<K extends keyof AmountKinds = 'number'> {
  readonly id: string;
  readonly namespace: string;
  readonly category: string;
  readonly limit: Amount<K>;
  readonly available: Amount<K>;
  readonly spent: Amount<K>;
  readonly committed: Amount<K>;
  readonly utilization: number;
  readonly period: Period;
  readonly periodStart: Date;
  readonly periodEnd?: Date;
  readonly pendingCommits: number;
  readonly suspended: boolean;
  readonly parent?: Required<EnvelopeName>;
  /** What may be spent in this window: the limit, with what was raised and carried. */
  readonly limitNow: Amount<K>;
  readonly raised?: { readonly amount: Amount<K>; readonly until: Date };
  readonly rollOver: Amount<K>;
  readonly carried: Amount<K>;
  /** In all since it was made; and so is what was given back of that by corrections. */
  readonly charged: Amount<K>;
  readonly givenBack: Amount<K>;
  readonly zone?: string;
  readonly beginsOn: number;
  readonly observeOnly: boolean;
  readonly thresholds: readonly number[];
  /** The largest of them that gave an alert in this window; 0: none. */
  readonly passed: number;
  /** Counts since it was made. */
  readonly commitsGranted: number;
  readonly refused: { readonly exceedsBudget: number; readonly suspended: number };
  /** What it would have refused, had it not been observeOnly. */
  readonly excused: number;
}

export interface EnvelopeOptions {
  category: string;
  limit: AmountInput;
  period?: Period;
  parent?: EnvelopeName;
  /** A moment at which a window began, to align windows. */
  startsAt?: Date | number;
  suspended?: boolean;
  /** Windows by the calendar there: "UTC", "Europe/Berlin". */
  zone?: string;
  /** With a zone: the day on which a week (1 is Monday) or a month begins. */
  beginsOn?: number;
  /** So much of what a window leaves goes to the next one. */
  rollOver?: AmountInput;
  /** It never refuses, and counts what it would have refused. */
  observeOnly?: boolean;
  /** Throw when it exists. Without it, one that exists is left as it is, and returned. */
  mustBeNew?: boolean;
}

export interface EnvelopeSettings {
  limit?: AmountInput;
  /** With zone and beginsOn; what is spent stays. */
  period?: Period;
  zone?: string;
  beginsOn?: number;
  suspended?: boolean;
  /** Nothing is spent any more; the window stays as it is. */
  clearSpent?: boolean;
  /** More than the limit for a while; null ends it. */
  raised?: { amount: AmountInput; until: Date | number } | null;
  rollOver?: AmountInput;
  observeOnly?: boolean;
  /** Percentages of the limit that give alerts, ascending, up to eight. */
  thresholds?: readonly number[];
  /** Another name, perhaps in another namespace. */
  name?: EnvelopeName;
  /** Another parent, for what is spent from then on; null: none. */
  parent?: EnvelopeName | null;
}

/** One of the changes that apply() makes together, in the handle's namespace unless it names
 * another. */
export type EnvelopeChange = { namespace?: string } & (
  ({ operation: 'create' | 'ensure' } & Omit<EnvelopeOptions, 'mustBeNew'>) |
  ({ operation: 'set'; category: string } & EnvelopeSettings) |
  { operation: 'set_limit'; category: string; limit: AmountInput } |
  { operation: 'suspend' | 'resume' | 'reset' | 'remove'; category: string });

/** A threshold that was crossed. */
export interface Alert<K extends keyof AmountKinds = 'number'> {
  readonly id: string;
  readonly percent: number;
  readonly limit: Amount<K>;
  readonly spent: Amount<K>;
  readonly timestamp: Date;
  readonly periodEnd?: Date;
  /** When alertDone() was called. */
  readonly done?: Date;
  readonly transactionId?: string;
  readonly namespace: string;
  readonly category: string;
  /** The envelope that was charged: this one, or one below it. */
  readonly spender?: Required<EnvelopeName>;
}

export interface CommitOptions {
  /** Milliseconds until it expires; 0: never. */
  ttlMs?: number;
  /** Outlives this process: another one settles it. */
  detached?: boolean;
  /** What becomes of the amount when its owner dies or the time is up. */
  onDeath?: 'release' | 'charge';
  /** Of the request: sent again under it, by whatever process, it is carried out once. */
  key?: string;
  /** For how long the key is kept; 0: a day. */
  keyMs?: number;
  /** Those of all that is charged for it. */
  labels?: Labels;
  /** Further envelopes that must have the money, too, and hold it: in all of them, or in none. */
  also?: readonly EnvelopeName[];
  /** When not all of it is there, what is will do from this amount on: see `granted`. */
  least?: AmountInput;
  /** Wait so long for the money, first come, first served: milliseconds, Infinity, or until the
   * window ends. commit() and reserve() hold up the event loop meanwhile. */
  waitMs?: number | 'window';
}

export interface CorrectOptions {
  /** Of the request: sent again under it, by whatever process, it is carried out once. */
  key?: string;
  /** For how long the key is kept; 0: a day. */
  keyMs?: number;
}

export interface ChargeOptions extends CorrectOptions {
  /** Added to those of the commit. */
  labels?: Labels;
}

export interface RecordOptions extends ChargeOptions {
  /** Further envelopes that are charged; a commit has its own. */
  also?: readonly EnvelopeName[];
}

export interface AsyncCommitOptions extends CommitOptions {
  /** What was granted when it is aborted is released, unless it has a `key`, whose next request
   * finds it; one that waits ends within a second. */
  signal?: AbortSignal;
}

/** One outcome, as an observer is told of it. */
export interface BudgetEvent<K extends keyof AmountKinds = 'number'> {
  /** 'alert': a threshold was crossed. */
  readonly operation: 'check' | 'commit' | 'release' | 'record' | 'settle' | 'extend' | 'reap' |
    'create' | 'ensure' | 'set_limit' | 'suspend' | 'resume' | 'reset' | 'remove' | 'set' |
    'charge' | 'alert' | 'alert_done' | 'correct';
  /** 'ok', or why not: 'exceeds_budget'. */
  readonly status: string;
  /** Nothing was done: a request with that key had been. */
  readonly repeated: boolean;
  readonly commitId?: string;
  readonly transactionId?: string;
  /** Asked for, charged or held; a limit; at an alert what was spent. */
  readonly amount: Amount<K>;
  readonly timestamp: Date;
  readonly namespace: string;
  readonly category: string;
  /** As it is afterwards, but for its counts of refusals. */
  readonly envelope?: SpendingEnvelope<K>;
  readonly alert?: Alert<K>;
}

export interface BudgetOptions<K extends keyof AmountKinds = 'number'> {
  /** The directory, or the URL of a PostgreSQL or Redis server (postgresql://, redis://); without
   * it, that of the environment variable BUDGET_ENFORCER_DIR. */
  path?: string;
  namespace?: string;
  durability?: 'full' | 'process';
  /** What amounts are in results; numbers, unless said otherwise. */
  amounts?: K;
  create?: boolean;
  readOnly?: boolean;
  /** What this handle holds ends when it closes; by default in worker threads. */
  owning?: boolean;
  /** On a server: for how long this host counts as alive when nothing is heard of it; a minute,
   * unless said otherwise. */
  leaseMs?: number;
  /** On a server: checks are permitted without asking it by what this handle has read so long ago
   * at most. It sees its own changes at once, and refusals are always asked for; 0 is the
   * default. */
  checkAgeMs?: number;
  /** Called with each operation's outcome when the operation is over: before the call returns, or
   * its promise is resolved. It may call the budget. What it throws is a warning of the
   * process's, and breaks no call. */
  observe?: (event: BudgetEvent<K>) => unknown;
}

/** An ordered map of bytes, changed in transactions, in this thread. None of it may be a promise:
 * others would spend between check and reservation. */
export interface BudgetStorage {
  begin(write: boolean): void;
  commit(): void;
  abort(): void;
  get(key: Uint8Array): Uint8Array | undefined;
  put(key: Uint8Array, value: Uint8Array): void;
  /** Was it there? */
  del(key: Uint8Array): boolean;
  /** The first record whose key is `from` or comes after it. */
  next(from: Uint8Array): [key: Uint8Array, value: Uint8Array] | undefined;
}

/** A storage that is forgotten with the handle: for tests. */
export const MEMORY: unique symbol;
export const version: string;

declare global {
  // For compilers whose libraries lack them; those that have them merge the two.
  interface SymbolConstructor {
    readonly dispose: unique symbol;
    readonly asyncDispose: unique symbol;
  }
  interface Disposable { [Symbol.dispose](): void }
  interface AsyncDisposable { [Symbol.asyncDispose](): PromiseLike<void> }
}

/** A commit that ends with its scope: released, unless it was settled. */
export interface Hold<K extends keyof AmountKinds = 'number'> extends Disposable, AsyncDisposable {
  readonly id: string;
  /** What it was granted. */
  readonly amount: Amount<K>;
  readonly ended: boolean;
  settle(amount: AmountInput, description?: string, options?: ChargeOptions): Transaction<K>;
  settleAsync(amount: AmountInput, description?: string,
    options?: ChargeOptions): Promise<Transaction<K>>;
  /** A part; the rest stays held: for the many calls of one task. */
  charge(amount: AmountInput, description?: string, options?: ChargeOptions): Transaction<K>;
  chargeAsync(amount: AmountInput, description?: string,
    options?: ChargeOptions): Promise<Transaction<K>>;
  release(): boolean;
  releaseAsync(): Promise<boolean>;
}

export interface TransactionFilter {
  namespace?: string;
  category?: string;
  since?: Date | number;
  until?: Date | number;
  after?: Id;
  /** Only those that have all of these; null: whatever the value. */
  labels?: Readonly<Record<string, string | null>>;
  pageSize?: number;
}

export class BudgetEnforcer<K extends keyof AmountKinds = 'number'> implements Disposable {
  constructor(options?: BudgetOptions<K>, storage?: BudgetStorage | typeof MEMORY);
  readonly namespace: string;
  /** Another handle on the same environment, memory or storage, for another namespace, with the
   * same options and observer, for as good as nothing. Either may be closed first. */
  openNamespace(namespace: string): BudgetEnforcer<K>;

  check(category: string, amount: AmountInput): BudgetCheckResult<K>;
  commit(category: string, amount: AmountInput, description?: string,
    options?: CommitOptions): CommitResult<K>;
  record(category: string, amount: AmountInput, description?: string,
    options?: RecordOptions): Transaction<K>;
  settle(commitId: Id, amount: AmountInput, description?: string,
    options?: ChargeOptions): Transaction<K>;
  /** A part of what the commit holds, which goes on holding the rest. */
  charge(commitId: Id, amount: AmountInput, description?: string,
    options?: ChargeOptions): Transaction<K>;
  /** Gives back what a transaction has charged too much. */
  correct(transactionId: Id, amount: AmountInput, description?: string,
    options?: CorrectOptions): Transaction<K>;
  /** True: released now. False: it had ended before. */
  release(commitId: Id): boolean;
  /** Without an amount it holds what it holds. */
  extend(commitId: Id, amount?: AmountInput, ttlMs?: number): BudgetCheckResult<K>;
  /** Throws BudgetExceededError. */
  reserve(category: string, amount: AmountInput, description?: string,
    options?: CommitOptions): Hold<K>;

  /** The same calls without holding up the event loop. */
  commitAsync(category: string, amount: AmountInput, description?: string,
    options?: AsyncCommitOptions): Promise<CommitResult<K>>;
  recordAsync(category: string, amount: AmountInput, description?: string,
    options?: RecordOptions): Promise<Transaction<K>>;
  settleAsync(commitId: Id, amount: AmountInput, description?: string,
    options?: ChargeOptions): Promise<Transaction<K>>;
  chargeAsync(commitId: Id, amount: AmountInput, description?: string,
    options?: ChargeOptions): Promise<Transaction<K>>;
  correctAsync(transactionId: Id, amount: AmountInput, description?: string,
    options?: CorrectOptions): Promise<Transaction<K>>;
  releaseAsync(commitId: Id): Promise<boolean>;
  extendAsync(commitId: Id, amount?: AmountInput, ttlMs?: number): Promise<BudgetCheckResult<K>>;
  reserveAsync(category: string, amount: AmountInput, description?: string,
    options?: AsyncCommitOptions): Promise<Hold<K>>;

  createEnvelope(options: EnvelopeOptions): SpendingEnvelope<K>;
  setEnvelope(category: string, settings: EnvelopeSettings): SpendingEnvelope<K>;
  /** Makes all changes in their order, or none of them: then `failed` of the error is the index of
   * the one that could not be made. */
  apply(changes: readonly EnvelopeChange[]): void;
  applyAsync(changes: readonly EnvelopeChange[]): Promise<void>;
  setLimit(category: string, limit: AmountInput): void;
  suspend(category: string): void;
  resume(category: string): void;
  reset(category: string): void;
  removeEnvelope(category: string): void;
  utilization(category: string): SpendingEnvelope<K>;

  envelopes(filter?: { namespace?: string; category?: string; pageSize?: number }):
    Generator<SpendingEnvelope<K>, void, undefined>;
  commits(filter?: TransactionFilter): Generator<Commit<K>, void, undefined>;
  transactions(filter?: TransactionFilter): Generator<Transaction<K>, void, undefined>;
  /** With transactions({ after: lastId }), the sums are all that was ever charged. */
  dailySums(filter?: { namespace?: string; category?: string; since?: Date | number;
    until?: Date | number }): { sums: DailySum<K>[]; lastId: string };
  alerts(filter?: TransactionFilter): Generator<Alert<K>, void, undefined>;
  followAlerts(options?: TransactionFilter & { intervalMs?: number; signal?: AbortSignal }):
    AsyncGenerator<Alert<K>, void, undefined>;
  /** True: this call was the first to mark it as done. */
  alertDone(id: Id): boolean;
  /** Removes all envelopes of the handle's namespace; the ledger keeps what was charged. With
   * `release` what is committed there is released first. */
  endNamespace(options?: { release?: boolean }): { removed: number; released: number };
  endNamespaceAsync(options?: { release?: boolean }):
    Promise<{ removed: number; released: number }>;
  /** Ends what dead processes hold and what is past its deadline; how many. */
  reap(): number;
  reapAsync(): Promise<number>;
  /** Removes what the ledger has from before then, and leaves daily sums: how many lines. It holds
   * up the event loop for as long as it takes, which is for scripts. */
  prune(before: Date | number): number;
  /** What was removed when it is aborted is removed. */
  pruneAsync(before: Date | number, options?: { signal?: AbortSignal }): Promise<number>;
  /** Copies the whole environment, as it is at one moment, to a new file, while the pool works. */
  backup(file: string): void;
  backupAsync(file: string): Promise<void>;
  /** The same into a server, where nothing may be yet. What was begun when it is aborted nobody can
   * open, and the next copy removes it. */
  copy(url: string): void;
  copyAsync(url: string, options?: { signal?: AbortSignal }): Promise<void>;
  verify(): string[];
  owners(): Owner[];
  stats(): Statistics;
  close(): void;
  [Symbol.dispose](): void;
}

/** Makes an environment of a backup, in a directory that is new or empty. */
export function restore(backup: string, directory: string): void;

export class BudgetError extends Error {
  /** 'ERR_BUDGET_NO_ENVELOPE', for example. */
  readonly code: string;
  readonly reason: string;
  readonly status: number;
  /** Of apply(): the index of the change that could not be made. */
  readonly failed?: number;
}
export class BudgetRefusedError extends BudgetError {}
export class BudgetFaultError extends BudgetError {}
export class BudgetExceededError extends BudgetRefusedError {
  constructor(result: BudgetCheckResult<keyof AmountKinds>);
  /** The envelope that refused, and its figures. */
  readonly result: BudgetCheckResult<keyof AmountKinds>;
}
