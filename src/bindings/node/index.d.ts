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
}

export interface CommitResult<K extends keyof AmountKinds = 'number'> extends BudgetCheckResult<K> {
  /** When it is permitted. */
  readonly commitId?: string;
}

/** A commit that holds money. */
export interface PendingCommit {
  readonly id: string;
  readonly category: string;
  readonly amount: number;
}

export interface Transaction<K extends keyof AmountKinds = 'number'> {
  readonly id: string;
  readonly kind: 'record' | 'settle' | 'expired' | 'orphaned' | 'charge';
  readonly commitId?: string;
  readonly amount: Amount<K>;
  readonly held: Amount<K>;
  /** Settled after the commit had been reaped. */
  readonly late: boolean;
  readonly timestamp: Date;
  readonly namespace: string;
  readonly category: string;
  readonly description: string;
}

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
}

export interface EnvelopeOptions {
  category: string;
  limit: AmountInput;
  period?: Period;
  parent?: EnvelopeName;
  /** A moment at which a window began, to align windows. */
  startsAt?: Date | number;
  suspended?: boolean;
  /** Throw when it exists. Without it, one that exists is left as it is, and returned. */
  mustBeNew?: boolean;
}

export interface CommitOptions {
  /** Milliseconds until it expires; 0: never. */
  ttlMs?: number;
  /** Outlives this process: another one settles it. */
  detached?: boolean;
  /** What becomes of the amount when its owner dies or the time is up. */
  onDeath?: 'release' | 'charge';
}

export interface AsyncCommitOptions extends CommitOptions {
  /** What was granted when it is aborted is released. */
  signal?: AbortSignal;
}

export interface BudgetOptions<K extends keyof AmountKinds = 'number'> {
  /** The directory; without it, that of the environment variable BUDGET_ENFORCER_DIR. */
  path?: string;
  namespace?: string;
  durability?: 'full' | 'process';
  /** What amounts are in results; numbers, unless said otherwise. */
  amounts?: K;
  create?: boolean;
  readOnly?: boolean;
  /** What this handle holds ends when it closes; by default in worker threads. */
  owning?: boolean;
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
  readonly amount: Amount<K>;
  readonly ended: boolean;
  settle(amount: AmountInput, description?: string): Transaction<K>;
  settleAsync(amount: AmountInput, description?: string): Promise<Transaction<K>>;
  release(): boolean;
  releaseAsync(): Promise<boolean>;
}

export interface TransactionFilter {
  namespace?: string;
  category?: string;
  since?: Date | number;
  until?: Date | number;
  after?: Id;
  pageSize?: number;
}

export class BudgetEnforcer<K extends keyof AmountKinds = 'number'> implements Disposable {
  constructor(options?: BudgetOptions<K>, storage?: BudgetStorage | typeof MEMORY);
  readonly namespace: string;

  check(category: string, amount: AmountInput): BudgetCheckResult<K>;
  commit(category: string, amount: AmountInput, description?: string,
    options?: CommitOptions): CommitResult<K>;
  record(category: string, amount: AmountInput, description?: string): Transaction<K>;
  settle(commitId: Id, amount: AmountInput, description?: string): Transaction<K>;
  /** True: released now. False: it had ended before. */
  release(commitId: Id): boolean;
  extend(commitId: Id, amount: AmountInput, ttlMs?: number): BudgetCheckResult<K>;
  /** Throws BudgetExceededError. */
  reserve(category: string, amount: AmountInput, description?: string,
    options?: CommitOptions): Hold<K>;

  /** The same calls without holding up the event loop. */
  commitAsync(category: string, amount: AmountInput, description?: string,
    options?: AsyncCommitOptions): Promise<CommitResult<K>>;
  recordAsync(category: string, amount: AmountInput,
    description?: string): Promise<Transaction<K>>;
  settleAsync(commitId: Id, amount: AmountInput, description?: string): Promise<Transaction<K>>;
  releaseAsync(commitId: Id): Promise<boolean>;
  extendAsync(commitId: Id, amount: AmountInput, ttlMs?: number): Promise<BudgetCheckResult<K>>;
  reserveAsync(category: string, amount: AmountInput, description?: string,
    options?: AsyncCommitOptions): Promise<Hold<K>>;

  createEnvelope(options: EnvelopeOptions): SpendingEnvelope<K>;
  setLimit(category: string, limit: AmountInput): void;
  suspend(category: string): void;
  resume(category: string): void;
  reset(category: string): void;
  removeEnvelope(category: string): void;
  utilization(category: string): SpendingEnvelope<K>;

  transactions(filter?: TransactionFilter): Generator<Transaction<K>, void, undefined>;
  envelopeNames(filter?: { namespace?: string; category?: string; pageSize?: number }):
    Generator<[namespace: string, category: string], void, undefined>;
  verify(): string[];
  close(): void;
  [Symbol.dispose](): void;
}

export class BudgetError extends Error {
  /** 'ERR_BUDGET_NO_ENVELOPE', for example. */
  readonly code: string;
  readonly reason: string;
  readonly status: number;
}
export class BudgetRefusedError extends BudgetError {}
export class BudgetFaultError extends BudgetError {}
export class BudgetExceededError extends BudgetRefusedError {
  constructor(result: BudgetCheckResult<keyof AmountKinds>);
  /** The envelope that refused, and its figures. */
  readonly result: BudgetCheckResult<keyof AmountKinds>;
}
