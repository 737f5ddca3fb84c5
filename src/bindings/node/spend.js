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
const fs = require('node:fs');
const { BudgetExceededError } = require('./index.js');

const NANO = 1_000_000_000n;
const LARGEST = 2n ** 63n - 1n;

/** A decimal, or a number as the nearest nano, in nanos; a bigint is nanos already. */
function toNanos(amount) {
  const text = typeof amount === 'number' ? amount.toFixed(9) : amount;
  const match = /^(\d+)(?:\.(\d{1,9}))?$/.exec(text);
  const nanos = typeof amount === 'bigint' ? amount
    : match ? BigInt(match[1]) * NANO + BigInt((match[2] ?? '').padEnd(9, '0')) : -1n;
  if (nanos < 0n || nanos > LARGEST) {
    throw new TypeError(`an amount is a decimal such as '2.50', not '${String(amount)}'`);
  }
  return nanos;
}

// ---- usage

function count(value) {
  return Number.isSafeInteger(value) && value > 0 ? value : 0;
}

/** Token counts that do not overlap. */
function tokens(input, cacheRead, cacheWrite, output, more = {}) {
  return { input, cacheRead, cacheWrite, cacheWriteHour: 0, output, searches: 0, ...more };
}

/** Of an input that includes what the cache gave and took. LiteLLM names these as Anthropic does,
 * beside the details. */
function including(input, details, usage, output) {
  const read = count(details?.cached_tokens) || count(details?.cache_read) ||
    count(usage.cache_read_input_tokens);
  const write = count(details?.cache_write_tokens) || count(details?.cache_creation_tokens) ||
    count(details?.cache_creation) || count(usage.cache_creation_input_tokens);
  return tokens(input - read - write, read, write, count(output));
}

// Whose they are is known by the names of their details. `input_tokens` leaves out at Anthropic
// what the cache gave and took; elsewhere it includes that.
const readers = [
  function openaiChat(usage) {
    if (usage.prompt_tokens == null) return undefined;
    return including(usage.prompt_tokens, usage.prompt_tokens_details, usage,
      usage.completion_tokens);
  },
  function openaiResponsesOrLangChain(usage) {
    const details = usage.input_tokens_details ?? usage.input_token_details;
    if (usage.input_tokens == null || !details) return undefined;
    return including(usage.input_tokens, details, usage, usage.output_tokens);
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
    if (!found) continue;
    for (const kind of Object.keys(found)) found[kind] = count(found[kind]);
    return found;
  }
  return undefined;
}

// ---- prices

const KINDS = ['input', 'output', 'cacheRead', 'cacheWrite', 'cacheWriteHour', 'search'];

/** All of them, exactly, by the names that counts have: one that is misspelt must not be lost. */
function readPrice(price) {
  for (const kind of Object.keys(price)) {
    if (!KINDS.includes(kind)) throw new TypeError(`${kind} is no price: ${KINDS.join(', ')}`);
  }
  const input = toNanos(price.input);
  const cacheWrite = price.cacheWrite === undefined ? input : toNanos(price.cacheWrite);
  return {
    input,
    output: toNanos(price.output),
    cacheRead: price.cacheRead === undefined ? input : toNanos(price.cacheRead),
    cacheWrite,
    cacheWriteHour: price.cacheWriteHour === undefined ? cacheWrite : toNanos(price.cacheWriteHour),
    searches: toNanos(price.search ?? '0') * 1_000_000n,
  };
}

/** Those of many models: see prices(). */
class Prices {
  #ofModels;
  #source;

  constructor(ofModels, source = 'prices') {
    this.#ofModels = new Map(Object.entries(ofModels));
    this.#source = source;
    for (const price of this.#ofModels.values()) readPrice(price);
  }

  /** Is there nothing to tell apart? */
  #isForAll() {
    return this.#ofModels.size === 1 && this.#ofModels.has('*');
  }

  /** That of the longest name that the model's begins with, so that gpt-4o-2024-08-06 costs what
   * gpt-4o does; `*` is all others. A model that nobody named may be any: it has the prices of `*`
   * only where there are no others. */
  of(model) {
    if (model === undefined && !this.#isForAll()) {
      throw new RangeError(`${this.#source}: no model named, and the prices are of several`);
    }
    const names = [...this.#ofModels.keys()].filter((name) => model?.startsWith(name));
    names.sort((one, other) => other.length - one.length);
    const price = this.#ofModels.get(names[0] ?? '*');
    if (price === undefined) {
      throw new RangeError(`${this.#source}: no prices of the model '${model.slice(0, 100)}', ` +
        'nor of *, which is all others');
    }
    return price;
  }
}

function readLine(line, found) {
  const [model, ...fields] = line.split(',');
  if (fields.length < 2 || fields.length > 4) {
    throw new TypeError('expected model,input,output[,cached[,written]] as in "gpt-4o,2.50,10"');
  }
  if (model === '') throw new TypeError('no model is named; * is for all others');
  if (found.has(model)) throw new TypeError('this model has prices already');
  const names = ['input', 'output', 'cacheRead', 'cacheWrite'];
  const price = Object.fromEntries(fields.map((field, at) => [names[at], field]));
  readPrice(price);
  found.set(model, price);
}

/** Reads the file of prices that be-replay reads: lines of model,input,output[,cached[,written]],
 * each price that of a million tokens. The first line may name the columns. */
function prices(file) {
  const found = new Map();
  const lines = fs.readFileSync(file, 'utf8').split('\n').map((line) => line.split('\r')[0]);
  lines.forEach((line, at) => {
    if (line === '' || (at === 0 && line.startsWith('model,'))) return;
    try {
      readLine(line, found);
    } catch (error) {
      throw new TypeError(`${file}:${at + 1}: ${error.message}`);
    }
  });
  if (found.size === 0) throw new TypeError(`${file}: no prices in it`);
  return new Prices(Object.fromEntries(found), String(file));
}

/** What a usage costs, in nanos, rounded up once, at the end; undefined: no usage that is known.
 * Prices are per million tokens, `search` per search. Caches without a price cost what input
 * does. */
function costOf(usage, price) {
  const whole = readPrice(price);
  const counts = countTokens(usage);
  if (!counts) return undefined;
  let sum = 0n;
  for (const kind of Object.keys(whole)) sum += BigInt(counts[kind]) * whole[kind];
  return (sum + 999_999n) / 1_000_000n;
}

/** The usage in an answer, or in a chunk of one. */
function usageIn(value) {
  return value?.usage ?? value?.response?.usage ?? value?.message?.usage ??
    value?.usageMetadata ?? value?.usage_metadata ?? undefined;
}

/** The model that an answer, or a chunk of one, says it is from. */
function modelIn(value) {
  const named = [value?.model, value?.response?.model, value?.response?.modelId,
    value?.modelId, value?.message?.model, value?.modelVersion, value?.model_version,
    value?.response_metadata?.model_name];
  return named.find((one) => typeof one === 'string' && one !== ''); // Azure's first chunk: ''
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

/** So that a description with a note fits: a charge must not be refused for what it is called.
 * Models and errors name themselves as they like. */
function shorten(text) {
  return Buffer.from(text.replace(/\p{C}/gu, '?')).subarray(0, 240).toString();
}

class Metered {
  #budget;
  #commit;
  #options;
  #estimate;
  #timer;
  #ended;
  #model;
  counted = { unanswered: 0 };

  constructor(budget, commit, options) {
    this.#budget = budget;
    this.#commit = commit;
    this.#options = options;
    this.#estimate = toNanos(options.estimate);
    this.#model = options.model;
  }

  /** A long call outlives its deadline, a process that hangs or a stream nobody reads does not. */
  keepAlive() {
    const { ttlMs } = this.#options;
    if (ttlMs === 0) return; // it has no deadline
    const extend = () => {
      this.#budget.extendAsync(this.#commit.commitId, undefined, ttlMs).catch(() => undefined);
    };
    this.#timer = setInterval(extend, ttlMs / 3);
    this.#timer.unref();
  }

  letDie() {
    clearInterval(this.#timer);
  }

  #note(why) {
    const { description = this.#commit.category } = this.#options;
    return `${shorten(description)}: ${shorten(why)}, cost unknown`;
  }

  /** undefined: no usage, or no prices of the model. */
  #cost(usage) {
    let { price } = this.#options;
    try {
      if (price instanceof Prices) price = price.of(this.#model);
    } catch {
      return undefined;
    }
    return costOf(usage, price);
  }

  async #settle(cost, note) {
    const { commitId, category } = this.#commit;
    try {
      await this.#budget.settleAsync(commitId, cost, note);
    } catch (error) {
      // The deadline passed meanwhile, and the estimate was charged.
      if (error.code !== 'ERR_BUDGET_ALREADY_CHARGED') throw error;
      if (cost > this.#estimate) {
        const { labels, also } = this.#options;
        await this.#budget.recordAsync(category, cost - this.#estimate, note, { labels, also });
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

  answered(answer) {
    this.#model ??= modelIn(answer);
    return this.#charge(usageIn(answer));
  }

  #charge(usage) {
    const cost = this.#cost(usage);
    if (cost !== undefined) return this.#end(() => this.#settle(cost + this.#lost(), undefined));
    if (!countTokens(usage)) return this.unknown('no usage');
    return this.unknown(this.#model === undefined ? 'no model named'
      : `no prices of ${this.#model}`);
  }

  failed(error) {
    const answered = typeof (error?.status ?? error?.statusCode) === 'number';
    if (!answered) return this.unknown(String(error?.name ?? 'failed'));
    const lost = this.#lost();
    if (lost > 0n) return this.#end(() => this.#settle(lost, this.#note('retries')));
    return this.#end(() => this.#budget.releaseAsync(this.#commit.commitId));
  }

  /** `seen` is a lower bound of what is charged. */
  unknown(why, seen) {
    if (this.#options.unknown === 'release') {
      return this.#end(() => this.#budget.releaseAsync(this.#commit.commitId));
    }
    let cost = this.#cost(seen) ?? 0n;
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
        this.#model ??= modelIn(chunk);
        usage = merge(usage, fresh);
        // Anthropic's first event has usage, too, which is not the last word.
        isLast ||= fresh !== undefined && chunk.type !== 'message_start';
        yield chunk;
      }
      if (isLast) await this.#charge(usage);
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      await this.unknown(String(failure?.name ?? 'not read to its end'), usage);
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

/** Returns what call() returns; throws BudgetExceededError, and does not call, when the estimate is
 * not there. A stream is settled when it has been read. */
async function spend(budget, category, given, call) {
  const ttlMs = given.ttlMs ?? 120_000, unknown = given.unknown ?? 'charge';
  const options = { ...given, ttlMs, unknown };
  const { estimate, description, labels, also, price, model } = options;
  // What would otherwise be found when the money is spent.
  if (!(price instanceof Prices)) readPrice(price);
  else if (model !== undefined) price.of(model);
  if (unknown !== 'charge' && unknown !== 'release') {
    throw new TypeError(`unknown is 'charge' or 'release', not ${String(unknown)}`);
  }
  const commit = await budget.commitAsync(category, estimate, description,
    { ttlMs, onDeath: unknown, signal: options.signal, labels, also });
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
  await metered.answered(answer);
  return answer;
}

exports.spend = spend;
exports.prices = prices;
exports.Prices = Prices;
exports.costOf = costOf;
exports.countTokens = countTokens;
exports.countedFetch = countedFetch;
