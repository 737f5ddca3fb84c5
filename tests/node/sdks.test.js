// SPDX-License-Identifier: Apache-2.0
'use strict';
// The SDKs themselves, from the npm registry, against a server that answers as the providers do and
// keeps its own account: what is spent is that, to the nano. BUDGET_SDKS names the directory where
// the script sdks has installed them.
const { test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const { createRequire, Module } = require('node:module');
const path = require('node:path');
const { make } = require('./support.js');

const PACKAGE = process.env.BUDGET_ENFORCER_PACKAGE;
const { spend } = require(path.join(PACKAGE, 'spend.js'));
const SDKS = process.env.BUDGET_SDKS ?? '';
const sdks = createRequire(path.join(SDKS, 'package.json'));
const have = fs.existsSync(path.join(SDKS, 'node_modules', 'openai'));
const skip = have ? false : `the SDKs are not in BUDGET_SDKS (${SDKS})`;
if (skip) console.log(`SKIPPED: ${skip}`);

const price = { input: '2.50', cacheRead: '1.25', output: '10' };
const ESTIMATE = 10_000_000n; // 0.01
const options = { estimate: ESTIMATE, price, ttlMs: 60_000 };

/** The server's account, in nanos: what it asks for what it answered, and the estimate for what it
 * began and did not end. */
const account = { nanos: 0n, requests: 0 };

function charge(input, cached, output) {
  account.nanos += (BigInt(input - cached) * 2_500n + BigInt(cached) * 1_250n) +
    BigInt(output) * 10_000n;
}

function sendEvents(response, events) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const event of events) {
    if (event.type) response.write(`event: ${event.type}\n`);
    response.write(`data: ${JSON.stringify(event)}\n\n`);
  }
}

function sendJson(response, status, value) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

const anthropic = {
  whole: (input, cached, output) => ({ id: 'm', type: 'message', role: 'assistant', model: 'm',
    content: [{ type: 'text', text: 'hello' }], stop_reason: 'end_turn',
    usage: { input_tokens: input - cached, cache_read_input_tokens: cached,
      cache_creation_input_tokens: 0, output_tokens: output } }),
  begin: (input, cached) => [
    { type: 'message_start', message: { id: 'm', type: 'message', role: 'assistant', content: [],
      usage: { input_tokens: input - cached, cache_read_input_tokens: cached,
        output_tokens: 1 } } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'hello' } },
  ],
  end: (input, cached, output) => [
    { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: output } },
    { type: 'message_stop' },
  ],
};

function chatUsage(input, cached, output) {
  return { prompt_tokens: input, completion_tokens: output, total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: cached } };
}
const chat = {
  whole: (input, cached, output) => ({ id: 'c', object: 'chat.completion',
    choices: [{ index: 0, finish_reason: 'stop',
      message: { role: 'assistant', content: 'hello' } }],
    usage: chatUsage(input, cached, output) }),
  begin: () => [{ id: 'c', choices: [{ index: 0, delta: { content: 'hel' } }], usage: null },
    { id: 'c', choices: [{ index: 0, delta: { content: 'lo' } }], usage: null }],
  end: (input, cached, output) => [
    { id: 'c', choices: [], usage: chatUsage(input, cached, output) }],
};

function responseOf(input, cached, output) {
  return { id: 'r', object: 'response', status: 'completed', output: [], usage: {
    input_tokens: input, input_tokens_details: { cached_tokens: cached }, output_tokens: output,
    output_tokens_details: { reasoning_tokens: 0 }, total_tokens: input + output } };
}
const responses = {
  whole: responseOf,
  begin: () => [{ type: 'response.created', response: { id: 'r', usage: null } },
    { type: 'response.output_text.delta', delta: 'hello' }],
  end: (...figures) => [{ type: 'response.completed', response: responseOf(...figures) }],
};

function answer(request, response, body) {
  const { stream, model } = JSON.parse(body);
  const kind = request.url.includes('messages') ? anthropic
    : request.url.includes('responses') ? responses : chat;
  const [what, input, cached, output] = model.split('-').map((word, at) => (at ? +word : word));
  account.requests++;
  if (what === 'busy') return sendJson(response, 429, { error: { message: 'busy' } });
  if (what !== 'good') account.nanos += ESTIMATE;
  if (what === 'dead') return request.socket.destroy();
  if (!stream) {
    charge(input, cached, output);
    return sendJson(response, 200, kind.whole(input, cached, output));
  }
  sendEvents(response, kind.begin(input, cached));
  if (what === 'broken') return setTimeout(() => request.socket.destroy(), 5);
  if (what === 'endless') return undefined;
  charge(input, cached, output);
  sendEvents({ writeHead: () => undefined, write: (text) => response.write(text) },
    kind.end(input, cached, output));
  if (kind === chat) response.write('data: [DONE]\n\n');
  return response.end();
}

function listen(t) {
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (data) => (body += data)).on('end', () => answer(request, response, body));
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${server.address().port}`));
  });
}

/** Reads a stream to its end, or what `leave` says. */
async function read(stream, leave, controller) {
  let seen = 0;
  for await (const chunk of stream) {
    seen += chunk ? 1 : 0;
    if (leave === 'break' && seen === 2) break;
    if (leave === 'abort' && seen === 2) controller.abort();
  }
}

test('200 calls, a fifth of them aborted, broken or refused', { skip }, async (t) => {
  const baseURL = await listen(t);
  const OpenAI = sdks('openai'), Anthropic = sdks('@anthropic-ai/sdk');
  const settings = { apiKey: 'x', baseURL, maxRetries: 0 };
  const openai = new OpenAI(settings), claude = new Anthropic(settings);
  const ask = [
    (more, how) => openai.chat.completions.create({ messages: [], ...more }, how),
    (more, how) => openai.responses.create({ input: 'hello', ...more }, how),
    (more, how) => claude.messages.create({ messages: [], max_tokens: 100, ...more }, how),
  ];
  const budget = make({ amounts: 'bigint' });
  let random = 1, failed = 0;
  const next = (below) => (random = (random * 48271) % 2147483647) % below;
  account.nanos = 0n;

  const one = async (number) => {
    const stream = number % 2 === 1;
    const bad = number % 5 === 4;
    const ends = stream ? ['busy', 'dead', 'broken', 'endless', 'endless'] : ['busy', 'dead'];
    const what = bad ? ends[next(ends.length)] : 'good';
    const input = 100 + next(1000);
    const model = `${what}-${input}-${next(100)}-${next(500)}`;
    const controller = new AbortController();
    const call = () => ask[number % 3]({ model, ...(stream && { stream }) },
      { signal: controller.signal });
    try {
      const got = await spend(budget, 'llm', options, call);
      if (stream) await read(got, what === 'endless' && (next(2) ? 'break' : 'abort'), controller);
      failed += what === 'endless' ? 1 : 0;
    } catch (error) {
      assert.ok(bad, error);
      failed++;
    }
  };
  for (let at = 0; at < 200; at += 10) {
    await Promise.all(Array.from({ length: 10 }, (_, more) => one(at + more)));
  }
  assert.equal(failed, 40);
  const { spent, committed } = budget.utilization('llm');
  assert.equal(spent, account.nanos);
  assert.equal(committed, 0n);
  assert.deepEqual(budget.verify(), []);
  console.log(`${account.requests} requests, ${failed} failed, ${spent} nanos spent`);
});

/** The examples name the package as users do. */
function requireExample(name) {
  const place = path.join(PACKAGE, 'examples', name);
  const module = new Module(place);
  const own = createRequire(place);
  module.filename = place;
  const load = (id) => own(id.replace(/^budget-enforcer(\/spend)?$/,
    (_, spending) => path.join(PACKAGE, spending ? 'spend.js' : 'index.js')));
  new Function('require', 'exports', fs.readFileSync(place, 'utf8'))(load, module.exports);
  return module.exports;
}

test('the AI SDK with the middleware of the examples', { skip }, async () => {
  const { generateText, streamText, wrapLanguageModel } = sdks('ai');
  const { metered } = requireExample('ai-sdk.js');
  const usage = { inputTokens: { total: 200, noCache: 200, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 100, text: 100, reasoning: 0 } };
  const finishReason = { unified: 'stop', raw: 'stop' };
  const model = {
    specificationVersion: 'v3', provider: 'fake', modelId: 'fake', supportedUrls: {},
    doGenerate: async () => ({ content: [{ type: 'text', text: 'hello' }], finishReason, usage,
      warnings: [] }),
    doStream: async () => ({ stream: ReadableStream.from([{ type: 'stream-start', warnings: [] },
      { type: 'text-start', id: '1' }, { type: 'text-delta', id: '1', delta: 'hello' },
      { type: 'text-end', id: '1' }, { type: 'finish', finishReason, usage }]) }),
  };
  const budget = make();
  const wrapped = wrapLanguageModel({ model, middleware: metered(budget, 'llm', options) });
  assert.equal((await generateText({ model: wrapped, prompt: 'hi' })).text, 'hello');
  assert.equal(budget.utilization('llm').spent, 0.0015);
  let text = '';
  for await (const part of streamText({ model: wrapped, prompt: 'hi' }).textStream) text += part;
  assert.equal(text, 'hello');
  assert.deepEqual([budget.utilization('llm').spent, budget.utilization('llm').committed],
    [0.003, 0]);
});

test('the LangChain callbacks of the examples', async () => {
  const { meter } = requireExample('langchain.js');
  const budget = make();
  const callbacks = meter(budget, 'llm', { estimate: 0.01, price });
  await callbacks.handleChatModelStart({}, [], 'run-1');
  assert.equal(budget.utilization('llm').committed, 0.01);
  const message = { usage_metadata: { input_tokens: 200, output_tokens: 100,
    input_token_details: {} } };
  await callbacks.handleLLMEnd({ generations: [[{ message }]] }, 'run-1');
  assert.equal(budget.utilization('llm').spent, 0.0015);
  await callbacks.handleLLMStart({}, [], 'run-2');
  await callbacks.handleLLMError(Object.assign(new Error('busy'), { status: 429 }), 'run-2');
  assert.deepEqual([budget.utilization('llm').spent, budget.utilization('llm').committed],
    [0.0015, 0]);
  budget.setLimit('llm', 0.002);
  await assert.rejects(callbacks.handleLLMStart({}, [], 'run-3'), { name: 'BudgetExceededError' });
});
