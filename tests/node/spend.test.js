// SPDX-License-Identifier: Apache-2.0
'use strict';
// spend(): what usages cost, and what becomes of a call that ends in any way it can.
const { test } = require('node:test');
const assert = require('node:assert/strict');
const path = require('node:path');
const fs = require('node:fs');
const { BudgetEnforcer, MEMORY, makeDirectory, waitUntil } = require('./support.js');
const { Prices, costOf, countTokens, countedFetch, prices, spend } =
  require(path.join(process.env.BUDGET_ENFORCER_PACKAGE, 'spend.js'));

const price = { input: '2.50', cacheRead: '1.25', output: '10' };
const options = { estimate: 0.01, price, description: 'a letter' };
const usage = { prompt_tokens: 200, completion_tokens: 100 }; // 0.0015

test('what usages cost', () => {
  for (const one of [
    { prompt_tokens: 1000, completion_tokens: 100, prompt_tokens_details: { cached_tokens: 800 },
      completion_tokens_details: { reasoning_tokens: 60 } },
    { input_tokens: 1000, output_tokens: 100, input_tokens_details: { cached_tokens: 800 },
      output_tokens_details: { reasoning_tokens: 60 } },
    { input_tokens: 200, output_tokens: 100, cache_read_input_tokens: 800,
      cache_creation_input_tokens: 0 },
    { input_tokens: 1000, output_tokens: 100, input_token_details: { cache_read: 800 } },
    { inputTokens: 1000, outputTokens: 100, inputTokenDetails: { cacheReadTokens: 800 } },
    { inputTokens: 1000, outputTokens: 100, cachedInputTokens: 800 },
    { inputTokens: { total: 1000, noCache: 200, cacheRead: 800 },
      outputTokens: { total: 100, reasoning: 60 } },
    { promptTokenCount: 1000, cachedContentTokenCount: 800, candidatesTokenCount: 40,
      thoughtsTokenCount: 60 },
    { inputTokens: 200, outputTokens: 100, cacheReadInputTokens: 800 },
  ]) assert.equal(costOf(one, price), 2_500_000n, JSON.stringify(one));
  for (const none of [undefined, null, {}, { something: 1 }, 'usage', 1]) {
    assert.equal(countTokens(none), undefined);
  }
  // 37.5 nanos: rounded up once, at the end.
  const cheap = { input: '0.0375', output: '0' };
  assert.equal(costOf({ prompt_tokens: 1, completion_tokens: 0 }, cheap), 38n);
  assert.equal(costOf({ prompt_tokens: 3, completion_tokens: 0 }, cheap), 113n);
  assert.equal(costOf({ input_tokens: 0, output_tokens: 0, cache_creation_input_tokens: 3,
    cache_creation: { ephemeral_1h_input_tokens: 1, ephemeral_5m_input_tokens: 2 },
    server_tool_use: { web_search_requests: 2 } },
  { input: '3', cacheWrite: '3.75', cacheWriteHour: '6', output: '15', search: '0.01' }),
  20_013_500n);
});

test('prices are checked, and costs never below zero', () => {
  for (const wrong of [{ input: '1' }, { ...price, cached: '1' }, { ...price, output: '1e3' },
    { ...price, input: -1 }, { ...price, output: '9223372037' }]) {
    assert.throws(() => costOf(usage, wrong), TypeError);
  }
  assert.equal(costOf({ prompt_tokens: 1, completion_tokens: 0,
    prompt_tokens_details: { cached_tokens: 5 } }, price), 6250n);
  assert.equal(costOf({ prompt_tokens: 1.5, completion_tokens: NaN }, price), 0n);
});

test('a file of prices', () => {
  const file = path.join(makeDirectory(), 'prices.csv');
  const read = (text) => {
    fs.writeFileSync(file, text);
    return prices(file);
  };
  const table = read('model,input,output,cached,written\r\ngpt-4o,2.50,10,1.25\r\n' +
    'gpt-4o-mini,0.15,0.60\r\nclaude,3,15,0.30,3.75\r\n\n');
  assert.deepEqual(table.of('gpt-4o-2024-08-06'),
    { input: '2.50', output: '10', cacheRead: '1.25' });
  assert.deepEqual(table.of('gpt-4o-mini-2024'), { input: '0.15', output: '0.60' });
  assert.equal(table.of('claude-sonnet-4').cacheWrite, '3.75');
  assert.throws(() => table.of('gpt-5'), /prices\.csv: no prices of the model 'gpt-5'/);
  assert.equal(read('*,1,2\n').of('gpt-5').output, '2');
  for (const [text, wrong] of [['', /no prices in it/], ['model,input,output\n', /no prices/],
    ['a,1\n', /:1: expected model/], ['a,1,2,3,4,5\n', /:1: expected/],
    ['a,1,2\na,1,2\n', /:2: this model has prices already/],
    ['a,1,2\n,1,2\n', /:2: no model is named/], ['a,1,2\nb,1, 2\n', /:2: /],
    ['a,1,-2\n', /:1: /], ['a,1,0.1234567890\n', /:1: /], ['a,1,\n', /:1: /]]) {
    assert.throws(() => read(text), wrong, text);
  }
  assert.throws(() => prices(file + '-none'), { code: 'ENOENT' });
});

function make(limit = 1) {
  const budget = new BudgetEnforcer({}, MEMORY);
  budget.createEnvelope({ category: 'llm', limit });
  let last = 0;
  return {
    budget,
    /** What was spent since, and what is held. */
    more() {
      const { spent, committed } = budget.utilization('llm');
      const since = Math.round((spent - last) * 1e9) / 1e9;
      last = spent;
      return [since, committed];
    },
  };
}

async function* chunks(list, error) {
  yield* list;
  if (error) throw error;
}

async function drain(stream) {
  let seen = 0;
  for await (const chunk of await stream) seen += chunk ? 1 : 0;
  return seen;
}

test('an answer, a refusal, an error of the provider, a broken line, no usage', async () => {
  const { budget, more } = make(0.03);
  const answer = await spend(budget, 'llm', options, async () => ({ usage, text: 'x' }));
  assert.equal(answer.text, 'x');
  assert.deepEqual(more(), [0.0015, 0]);
  const overloaded = Object.assign(new Error('overloaded'), { status: 529 });
  await assert.rejects(spend(budget, 'llm', options, () => Promise.reject(overloaded)), overloaded);
  assert.deepEqual(more(), [0, 0]);
  await assert.rejects(spend(budget, 'llm', options, () => Promise.reject(new TypeError('broken'))),
    /broken/);
  assert.deepEqual(more(), [0.01, 0]);
  await assert.rejects(spend(budget, 'llm', { ...options, unknown: 'release' },
    () => Promise.reject(new TypeError('broken'))), /broken/);
  assert.deepEqual(more(), [0, 0]);
  await assert.rejects(spend(budget, 'llm', { ...options, estimate: 1 },
    () => assert.fail('it must not be called')), { name: 'BudgetExceededError' });
  await spend(budget, 'llm', options, async () => ({ text: 'no usage at all' }));
  assert.deepEqual(more(), [0.01, 0]);
  const notes = Array.from(budget.transactions(), (one) => one.description);
  assert.equal(notes.at(-1), 'a letter: no usage, cost unknown');
});

test('streams: whole, left early, broken, without usage, never read', async () => {
  const list = [{ choices: [1], usage: null }, { choices: [2], usage: null },
    { choices: [], usage }];
  const { budget, more } = make();
  const stream = (...given) => spend(budget, 'llm', options, async () => chunks(...given));
  assert.equal(await drain(stream(list)), 3);
  assert.deepEqual(more(), [0.0015, 0]);
  for await (const chunk of await stream(list)) if (chunk) break;
  assert.deepEqual(more(), [0.01, 0]);
  await assert.rejects(drain(stream(list.slice(0, 1), new Error('ECONNRESET'))), /ECONNRESET/);
  assert.deepEqual(more(), [0.01, 0]);
  await drain(stream(list.slice(0, 2)));
  assert.deepEqual(more(), [0.01, 0]);
  const start = { type: 'message_start',
    message: { usage: { input_tokens: 200, output_tokens: 1 } } };
  const delta = { type: 'message_delta', usage: { output_tokens: 100, input_tokens: null } };
  await drain(stream([start, { type: 'content_block_delta' }, delta, { type: 'message_stop' }]));
  assert.deepEqual(more(), [0.0015, 0]);
  await drain(stream([start, { type: 'content_block_delta' }])); // aborted: it ends without error
  assert.deepEqual(more(), [0.01, 0]);
  const dear = { ...start, message: { usage: { input_tokens: 10_000, output_tokens: 1 } } };
  await drain(stream([dear])); // more was seen than estimated
  assert.deepEqual(more(), [0.02501, 0]);
  await spend(budget, 'llm', { ...options, ttlMs: 30 }, async () => chunks(list));
  await waitUntil(() => {
    budget.check('llm', 0.93); // somebody needs the money
    return budget.utilization('llm').committed === 0;
  });
  assert.deepEqual(more(), [0.01, 0]);
});

test('the answer names the model', async () => {
  const { budget, more } = make();
  const table = new Prices({ 'gpt-4o': { input: '2.50', output: '10' },
    claude: { input: 3, output: 15 } });
  const cost = async (answer, given) => {
    const made = await spend(budget, 'llm', { estimate: 0.01, price: table, ...given },
      async () => answer);
    if (made[Symbol.asyncIterator]) await drain(made);
    return more()[0];
  };
  assert.equal(await cost({ model: 'gpt-4o-2024', usage }), 0.0015);
  assert.equal(await cost({ response: { modelId: 'gpt-4o' }, usage }), 0.0015);
  assert.equal(await cost({ model: 'gpt-4o', usage }, { model: 'claude-3' }), 0.0021);
  assert.equal(await cost(chunks([{ model: '' }, { model: 'gpt-4o-x' }, { usage }])), 0.0015);
  assert.equal(await cost(chunks([
    { type: 'message_start',
      message: { model: 'claude-x', usage: { input_tokens: 200, output_tokens: 1 } } },
    { type: 'message_delta', usage: { output_tokens: 100 } }])), 0.0021);
  assert.equal(await cost(chunks([{ type: 'response-metadata', modelId: 'gpt-4o' },
    { type: 'finish', usage }])), 0.0015);
  assert.equal(await cost({ usage }), 0.01);
  assert.equal(await cost({ model: 'gpt-5\n' + 'x'.repeat(600), usage }), 0.01);
  const notes = Array.from(budget.transactions(), (one) => one.description).slice(-2);
  assert.equal(notes[0], 'llm: no model named, cost unknown');
  assert.match(notes[1], /^llm: no prices of gpt-5\?xx+, cost unknown$/);
  await assert.rejects(cost({}, { model: 'gpt-5' }), RangeError);
  // `*` is others than those, and a model that is not named may be one of those.
  const star = { '*': { input: 3, output: 15 } };
  const some = new Prices({ ...star, 'gpt-4o': { input: '2.50', output: '10' } });
  assert.equal(await cost({ usage }, { price: some }), 0.01);
  assert.equal(await cost({ usage }, { price: new Prices(star) }), 0.0021);
});

test('labels, further envelopes, and a description that is long', async () => {
  const { budget, more } = make();
  budget.createEnvelope({ category: 'day', limit: 5 });
  const given = { ...options, labels: { customer: 'acme' },
    also: [{ namespace: '', category: 'day' }] };
  await spend(budget, 'llm', given, async () => ({ usage }));
  await assert.rejects(spend(budget, 'llm', { ...given, description: 'é'.repeat(256) },
    () => Promise.reject(new TypeError('broken'))), /broken/);
  // The deadline passes: no timer runs while the event loop is held up.
  await spend(budget, 'llm', { ...given, ttlMs: 1 }, () => {
    while (budget.reap() === 0);
    return { usage: { prompt_tokens: 0, completion_tokens: 2000 } };
  });
  const { labels, also } = given;
  const lines = [...budget.transactions()];
  assert.deepEqual(lines.map((one) => [one.kind, one.amount, one.labels, one.also]), [
    ['settle', 0.0015, labels, also], ['settle', 0.01, labels, also],
    ['expired', 0.01, labels, also], ['record', 0.01, labels, also]]);
  assert.match(lines[1].description, /^é+: TypeError, cost unknown$/);
  assert.equal(more()[1], 0);
});

test('what is wrong is found before the call', async () => {
  const { budget, more } = make();
  for (const wrong of [{ price: { input: '1' } }, { price: { ...price, cached: 1 } },
    { unknown: 'burn' }, { labels: { a: 1 } }, { also: ['day'] }]) {
    await assert.rejects(spend(budget, 'llm', { ...options, ...wrong },
      () => assert.fail('it must not be called')), TypeError);
  }
  assert.deepEqual(more(), [0, 0]);
});

test('a long call outlives its deadline', async () => {
  const { budget, more } = make();
  await spend(budget, 'llm', { ...options, ttlMs: 150 }, async () => {
    for (let i = 0; i < 10; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      budget.check('llm', 0.995); // refused: whatever is past its deadline is ended
    }
    return { usage };
  });
  assert.deepEqual(more(), [0.0015, 0]);
  // A process that was stopped too long: the estimate was charged, and the rest is.
  const rich = { prompt_tokens: 4800, completion_tokens: 0 }; // 0.012
  await spend(budget, 'llm', { ...options, ttlMs: 1 }, async () => {
    const end = Date.now() + 20;
    while (Date.now() < end);
    budget.check('llm', 0.995);
    return { usage: rich };
  });
  assert.deepEqual(more(), [0.012, 0]);
});

test('without a deadline there is no heartbeat, and an undefined one is the usual', async () => {
  const { budget, more } = make();
  const { extendAsync } = budget;
  let beats = 0;
  budget.extendAsync = (...given) => {
    beats++;
    return extendAsync.apply(budget, given);
  };
  for (const ttlMs of [0, undefined]) {
    await spend(budget, 'llm', { ...options, ttlMs, unknown: undefined }, async (commit) => {
      const [held] = [...budget.commits()];
      assert.deepEqual([held.id, held.deadline !== undefined], [commit.commitId, ttlMs !== 0]);
      await new Promise((resolve) => setTimeout(resolve, 50));
      return { usage };
    });
    assert.deepEqual([more(), beats], [[0.0015, 0], 0]);
  }
});

test('attempts that were never answered are charged', async () => {
  const { budget, more } = make();
  let calls = 0;
  const fetch = countedFetch(async () => {
    if (++calls < 3) throw new TypeError('fetch failed');
    return { status: 200 };
  });
  const retrying = async () => {
    for (let tries = 0; ; tries++) {
      try {
        await fetch('http://provider');
        return { usage };
      } catch (error) {
        if (tries === 2) throw error;
      }
    }
  };
  await spend(budget, 'llm', options, retrying);
  assert.deepEqual(more(), [0.0215, 0]);
  calls = -10;
  await assert.rejects(spend(budget, 'llm', options, retrying), /fetch failed/);
  assert.deepEqual(more(), [0.03, 0]);
});
