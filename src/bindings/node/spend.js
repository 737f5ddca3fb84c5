// SPDX-License-Identifier: Apache-2.0
'use strict';
// Reserves, calls a model, and settles what the answer's usage costs. It knows the shapes of usage,
// and no SDK.
//
// What an outcome costs:
//   an answer, or a stream read to its usage   what the usage says
//   an error with an HTTP status               nothing: the provider answered that it would not
//   a connection that broke, an abort          the estimate: nobody knows (unknown: 'charge')
//   a stream left early, broken or without     the larger of the estimate and of what was seen
//     usage at its end                         (SDKs end an aborted stream without an error)
//   attempts of an SDK's retries that were     the estimate for each, where the SDK was given
//     never answered                           countedFetch()
//   a stream that is never read                the estimate, when its deadline has passed

const { AsyncLocalStorage } = require('node:async_hooks');
const { BudgetExceededError } = require('./index.js');

const NANO = 1_000_000_000n;

/** A decimal, or a number as the nearest nano, in nanos; a bigint is nanos already. */
function toNanos(amount) {
  if (typeof amount === 'bigint') return amount;
  const text = typeof amount === 'number' ? amount.toFixed(9) : amount;
  const match = /^(\d+)(?:\.(\d{1,9}))?$/.exec(text);
  if (!match) throw new TypeError(`an amount is a decimal such as '2.50', not ${String(amount)}`);
  return BigInt(match[1]) * NANO + BigInt((match[2] ?? '').padEnd(9, '0'));
}

// ---- usage

function count(value) {
  return typeof value === 'number' ? value : 0;
}

/** Token counts that do not overlap. */
function tokens(input, cacheRead, cacheWrite, output, more = {}) {
  return { input, cacheRead, cacheWrite, cacheWriteHour: 0, output, searches: 0, ...more };
}

// Whose they are is known by the names of their details. `input_tokens` leaves out at Anthropic
// what the cache gave and took; elsewhere it includes that.
const readers = [
  function openaiChat(usage) {
    if (usage.prompt_tokens === undefined) return undefined;
    const read = count(usage.prompt_tokens_details?.cached_tokens);
    const write = count(usage.prompt_tokens_details?.cache_write_tokens);
    return tokens(usage.prompt_tokens - read - write, read, write, count(usage.completion_tokens));
  },
  function openaiResponsesOrLangChain(usage) {
    const details = usage.input_tokens_details ?? usage.input_token_details;
    if (usage.input_tokens === undefined || !details) return undefined;
    const read = count(details.cached_tokens ?? details.cache_read);
    const write = count(details.cache_write_tokens ?? details.cache_creation);
    return tokens(usage.input_tokens - read - write, read, write, count(usage.output_tokens));
  },
  function anthropic(usage) {
    if (usage.input_tokens === undefined) return undefined;
    const hour = count(usage.cache_creation?.ephemeral_1h_input_tokens);
    return tokens(count(usage.input_tokens), count(usage.cache_read_input_tokens),
      count(usage.cache_creation_input_tokens) - hour, count(usage.output_tokens),
      { cacheWriteHour: hour, searches: count(usage.server_tool_use?.web_search_requests) });
  },
  function gemini(usage) {
    if (usage.promptTokenCount === undefined) return undefined;
    const read = count(usage.cachedContentTokenCount);
    const input = usage.promptTokenCount - read + count(usage.toolUsePromptTokenCount);
    // Thoughts are not among the candidates' tokens.
    return tokens(input, read, 0,
      count(usage.candidatesTokenCount) + count(usage.thoughtsTokenCount));
  },
  function aiSdkProvider(usage) {
    if (typeof usage.inputTokens !== 'object' || !usage.inputTokens) return undefined;
    const { total, noCache, cacheRead, cacheWrite } = usage.inputTokens;
    const read = count(cacheRead), write = count(cacheWrite);
    return tokens(noCache ?? count(total) - read - write, read, write,
      count(usage.outputTokens?.total));
  },
  function bedrock(usage) {
    if (usage.cacheReadInputTokens === undefined && usage.cacheWriteInputTokens === undefined) {
      return undefined;
    }
    return tokens(count(usage.inputTokens), count(usage.cacheReadInputTokens),
      count(usage.cacheWriteInputTokens), count(usage.outputTokens));
  },
  function aiSdk(usage) {
    if (usage.inputTokens === undefined) return undefined;
    const details = usage.inputTokenDetails ?? {};
    const read = count(details.cacheReadTokens ?? usage.cachedInputTokens);
    const write = count(details.cacheWriteTokens);
    return tokens(usage.inputTokens - read - write, read, write, count(usage.outputTokens));
  },
];

/** Token counts that do not overlap, of any usage that is known; else undefined. */
function countTokens(usage) {
  if (usage === null || typeof usage !== 'object') return undefined;
  for (const reader of readers) {
    const found = reader(usage);
    if (found) return found;
  }
  return undefined;
}

/** What a usage costs, in nanos, rounded up once, at the end; undefined: no usage that is known.
 * Prices are per million tokens, `search` per search. Caches without a price cost what input
 * does. */
function costOf(usage, price) {
  const counts = countTokens(usage);
  if (!counts) return undefined;
  const input = toNanos(price.input);
  const cacheWrite = price.cacheWrite === undefined ? input : toNanos(price.cacheWrite);
  const prices = {
    input,
    output: toNanos(price.output),
    cacheRead: price.cacheRead === undefined ? input : toNanos(price.cacheRead),
    cacheWrite,
    cacheWriteHour: price.cacheWriteHour === undefined ? cacheWrite : toNanos(price.cacheWriteHour),
    searches: toNanos(price.search ?? '0') * 1_000_000n,
  };
  let sum = 0n;
  for (const kind of Object.keys(prices)) sum += BigInt(counts[kind]) * prices[kind];
  return (sum + 999_999n) / 1_000_000n;
}

/** The usage in an answer, or in a chunk of one. */
function usageIn(value) {
  return value?.usage ?? value?.response?.usage ?? value?.message?.usage ??
    value?.usageMetadata ?? value?.usage_metadata ?? undefined;
}

/** Later chunks say more, but not all again. */
function merge(old, fresh) {
  if (fresh === undefined) return old;
  const said = Object.entries(fresh).filter(([, value]) => value != null);
  return { ...old, ...Object.fromEntries(said) };
}

// ---- attempts: SDKs try again, and each try that was not answered may have cost

const attempts = new AsyncLocalStorage();

/** For an SDK's option `fetch`: counts the attempts within spend(). */
function countedFetch(fetch = globalThis.fetch) {
  return async (...request) => {
    const counted = attempts.getStore();
    if (!counted) return fetch(...request);
    counted.unanswered++;
    const response = await fetch(...request);
    counted.unanswered--;
    return response;
  };
}

// ---- one call

class Metered {
  #budget;
  #commit;
  #options;
  #estimate;
  #timer;
  #ended;
  counted = { unanswered: 0 };

  constructor(budget, commit, options) {
    this.#budget = budget;
    this.#commit = commit;
    this.#options = options;
    this.#estimate = toNanos(options.estimate);
  }

  /** A long call outlives its deadline, a process that hangs or a stream nobody reads does not. */
  keepAlive() {
    const { ttlMs } = this.#options;
    const extend = () => {
      this.#budget.extendAsync(this.#commit.commitId, this.#estimate, ttlMs).catch(() => undefined);
    };
    this.#timer = setInterval(extend, ttlMs / 3);
    this.#timer.unref();
  }

  letDie() {
    clearInterval(this.#timer);
  }

  #note(why) {
    return `${this.#options.description ?? this.#commit.category}: ${why}, cost unknown`;
  }

  async #settle(cost, note) {
    const { commitId, category } = this.#commit;
    try {
      await this.#budget.settleAsync(commitId, cost, note);
    } catch (error) {
      // The deadline passed meanwhile, and the estimate was charged.
      if (error.code !== 'ERR_BUDGET_ALREADY_CHARGED') throw error;
      if (cost > this.#estimate) {
        await this.#budget.recordAsync(category, cost - this.#estimate, note);
      }
    }
  }

  /** Once, whatever comes later. */
  #end(make) {
    this.letDie();
    return (this.#ended ??= make());
  }

  #lost() {
    return BigInt(this.counted.unanswered) * this.#estimate;
  }

  answered(usage) {
    const cost = costOf(usage, this.#options.price);
    if (cost === undefined) return this.unknown('no usage');
    return this.#end(() => this.#settle(cost + this.#lost(), undefined));
  }

  failed(error) {
    const answered = typeof (error?.status ?? error?.statusCode) === 'number';
    if (!answered) return this.unknown(error?.name ?? 'failed');
    const lost = this.#lost();
    if (lost > 0n) return this.#end(() => this.#settle(lost, this.#note('retries')));
    return this.#end(() => this.#budget.releaseAsync(this.#commit.commitId));
  }

  /** `seen` is a lower bound of what is charged. */
  unknown(why, seen) {
    if (this.#options.unknown === 'release') {
      return this.#end(() => this.#budget.releaseAsync(this.#commit.commitId));
    }
    let cost = costOf(seen, this.#options.price) ?? 0n;
    if (cost < this.#estimate) cost = this.#estimate;
    const lost = this.#lost();
    if (lost > cost) cost = lost;
    return this.#end(() => this.#settle(cost, this.#note(why)));
  }

  /** The chunks of a stream as they come. */
  async *read(stream) {
    let usage, isLast = false, failure;
    this.keepAlive();
    try {
      for await (const chunk of { [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator]() }) {
        const fresh = usageIn(chunk) ?? undefined;
        usage = merge(usage, fresh);
        // Anthropic's first event has usage, too, which is not the last word.
        isLast ||= fresh !== undefined && chunk.type !== 'message_start';
        yield chunk;
      }
      if (isLast) await this.answered(usage);
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      await this.unknown(failure?.name ?? 'not read to its end', usage);
    }
  }
}

/** The answer, with its chunks metered as they are read. */
function meterStream(answer, metered) {
  return new Proxy(answer, {
    get(target, name) {
      if (name === Symbol.asyncIterator) return () => metered.read(target);
      const value = target[name];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const DEFAULTS = { unknown: 'charge', ttlMs: 120_000 };

/** Returns what call() returns; throws BudgetExceededError, and does not call, when the estimate is
 * not there. A stream is settled when it has been read. */
async function spend(budget, category, given, call) {
  const options = { ...DEFAULTS, ...given };
  const { estimate, description, ttlMs, unknown } = options;
  const commit = await budget.commitAsync(category, estimate, description,
    { ttlMs, onDeath: unknown === 'charge' ? 'charge' : 'release', signal: options.signal });
  if (!commit.permitted) throw new BudgetExceededError(commit);
  const metered = new Metered(budget, commit, options);
  let answer;
  metered.keepAlive();
  try {
    answer = await attempts.run(metered.counted, () => call(commit));
  } catch (error) {
    await metered.failed(error);
    throw error;
  }
  if (typeof answer?.[Symbol.asyncIterator] === 'function') {
    metered.letDie();
    return meterStream(answer, metered);
  }
  await metered.answered(usageIn(answer));
  return answer;
}

exports.spend = spend;
exports.costOf = costOf;
exports.countTokens = countTokens;
exports.countedFetch = countedFetch;
