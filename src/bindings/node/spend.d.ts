// SPDX-License-Identifier: Apache-2.0
import type { AmountInput, BudgetEnforcer, CommitResult } from './index';

/** Per million tokens, as decimals; caches without a price cost what input does. */
export interface Price {
  input: string | number;
  output: string | number;
  cacheRead?: string | number;
  cacheWrite?: string | number;
  /** Of Anthropic's cache that lasts an hour. */
  cacheWriteHour?: string | number;
  /** Per web search. */
  search?: string | number;
}

export interface SpendOptions {
  /** What is held while the call runs, and charged when nobody knows what it cost. */
  estimate: AmountInput;
  price: Price;
  description?: string;
  /** What becomes of a call whose cost nobody knows; 'charge' unless said otherwise. */
  unknown?: 'charge' | 'release';
  /** The hold's deadline, pushed out while the call runs; 120 000 unless said otherwise. */
  ttlMs?: number;
  signal?: AbortSignal;
}

export interface Tokens {
  input: number;
  cacheRead: number;
  cacheWrite: number;
  cacheWriteHour: number;
  output: number;
  searches: number;
}

/** Reserves the estimate, calls, and settles what the answer's usage costs. Throws
 * BudgetExceededError, and does not call, when the estimate is not there. */
export function spend<T>(budget: BudgetEnforcer<any>, category: string, options: SpendOptions,
  call: (commit: CommitResult<any>) => T | PromiseLike<T>): Promise<T>;
/** Nanos, rounded up once; undefined: no usage that is known. */
export function costOf(usage: unknown, price: Price): bigint | undefined;
/** Counts that do not overlap. */
export function countTokens(usage: unknown): Tokens | undefined;
/** For an SDK's option `fetch`: each attempt that was never answered costs the estimate. */
export function countedFetch(fetch?: typeof globalThis.fetch): typeof globalThis.fetch;
