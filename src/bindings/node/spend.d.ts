// SPDX-License-Identifier: Apache-2.0
import type { AmountInput, BudgetEnforcer, CommitResult, EnvelopeName, Labels } from './index';

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

/** Those of many models. */
export class Prices {
  constructor(ofModels: Readonly<Record<string, Price>>, source?: string);
  /** That of the longest name that the model's begins with, so that gpt-4o-2024-08-06 costs what
   * gpt-4o does; '*' is all others. A model that nobody named has the prices of '*' only where
   * there are no others. Throws a RangeError when there is none. */
  of(model: string | undefined): Price;
}

/** Reads the file of prices that be-replay reads: lines of model,input,output[,cached[,written]],
 * each price that of a million tokens. The first line may name the columns. */
export function prices(file: string | URL): Prices;

export interface SpendOptions {
  /** What is held while the call runs, and charged when nobody knows what it cost. */
  estimate: AmountInput;
  price: Price | Prices;
  /** With prices(): the model, if it is not to be the one that the answer names. */
  model?: string;
  description?: string;
  labels?: Labels;
  /** Further envelopes that must have the money, too, and are charged. */
  also?: readonly EnvelopeName[];
  /** What becomes of a call whose cost nobody knows; 'charge' unless said otherwise. */
  unknown?: 'charge' | 'release';
  /** The hold's deadline, pushed out while the call runs; 120 000 unless said otherwise, and none
   * when 0. */
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
