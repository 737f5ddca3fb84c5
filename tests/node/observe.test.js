// SPDX-License-Identifier: Apache-2.0
'use strict';
// Observers: what they are told, when, and that they break nothing.
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { EventEmitter, once } = require('node:events');
const { Worker } = require('node:worker_threads');
const { BudgetEnforcer, MEMORY, make, open, waitUntil } = require('./support.js');

/** A handle with all that it is told. */
function watched(options = {}) {
  const budget = make();
  const events = [];
  return { events, plain: budget,
    budget: open(budget.place, { ...options, observe: (event) => events.push(event) }) };
}

const brief = (events) => events.map(({ operation, status }) => `${operation} ${status}`);

test('observers are told of each outcome before the call returns', async () => {
  const { budget, events } = watched({ amounts: 'string' });
  assert.equal(budget.check('llm', 51).permitted, false);
  const { commitId } = budget.commit('llm', 2);
  assert.equal(events.length, 2);
  const { envelope, timestamp, ...rest } = events[1];
  assert.deepEqual(rest, { operation: 'commit', status: 'ok', repeated: false, commitId,
    transactionId: undefined, amount: '2', namespace: '', category: 'llm', alert: undefined });
  assert.ok(timestamp instanceof Date);
  assert.deepEqual([envelope.committed, envelope.available], ['2', '48']);
  const charged = budget.charge(commitId, 1);
  assert.equal(events.at(-1).transactionId, charged.id);
  budget.extend(commitId, 2);
  assert.throws(() => budget.record('none', 1));
  budget.settle(commitId, 1);
  budget.correct(charged.id, '0.5');
  assert.equal(events.at(-1).amount, '0.5');
  assert.equal(budget.release(commitId), false);
  const set = events.length;
  budget.createEnvelope({ category: 'day', limit: 1 });
  budget.setEnvelope('day', { thresholds: [50] });
  budget.setLimit('day', 2);
  budget.suspend('day');
  budget.resume('day');
  budget.reset('day');
  budget.removeEnvelope('day');
  assert.deepEqual(brief(events.slice(0, set)), ['check exceeds_budget', 'commit ok', 'charge ok',
    'extend ok', 'record no_envelope', 'settle ok', 'correct ok', 'release already_settled']);
  assert.deepEqual(brief(events.slice(set)), ['ensure ok', 'set ok', 'set_limit ok', 'suspend ok',
    'resume ok', 'reset ok', 'remove ok']);
});

test('repeated requests, alerts, and what was reaped', async () => {
  const { budget, events, plain } = watched();
  plain.setEnvelope('llm', { thresholds: [50] });
  budget.record('llm', 30, undefined, { key: 'once' });
  budget.record('llm', 30, undefined, { key: 'once' });
  assert.deepEqual(events.map(({ operation, repeated, alert }) => (
    [operation, repeated, alert?.percent])),
  [['record', false, undefined], ['alert', false, 50], ['record', true, undefined]]);
  assert.equal(budget.alertDone(events[1].alert.id), true);
  assert.equal(events.at(-1).operation, 'alert_done');
  plain.commit('llm', 1, undefined, { ttlMs: 1 });
  await waitUntil(() => budget.reap() === 1);
  assert.equal(events.at(-1).operation, 'reap');
  plain.commit('llm', 1, undefined, { ttlMs: 1 });
  const told = [];
  await waitUntil(() => {
    open(budget.place, { observe: (event) => told.push(event) }); // opening reaps, too
    return told.length > 0;
  });
  assert.deepEqual(brief(told), ['reap ok']);
});

test('calls on threads are told of before their promises are resolved', async () => {
  const { budget, events } = watched();
  const one = async () => {
    const hold = await budget.reserveAsync('llm', 0.1);
    assert.ok(events.some(({ commitId }) => commitId === hold.id));
    const { id } = await hold.settleAsync(0.1);
    assert.ok(events.some(({ transactionId }) => transactionId === id));
  };
  await Promise.all(Array.from({ length: 100 }, one));
  await assert.rejects(budget.recordAsync('none', 1));
  assert.equal(events.at(-1).status, 'no_envelope');
  assert.equal(events.filter(({ operation }) => operation === 'settle').length, 100);
  assert.equal(events.length, 201);
});

test('what an observer throws breaks no call', async () => {
  const warnings = [];
  process.on('warning', (warning) => warnings.push(warning));
  const place = make().place;
  const budget = open(place, { observe: () => { throw new Error('oh'); } });
  assert.equal(budget.settle(budget.commit('llm', 1).commitId, 1).amount, 1);
  assert.equal((await budget.recordAsync('llm', 1)).amount, 1);
  assert.throws(() => budget.record('none', 1), { code: 'ERR_BUDGET_NO_ENVELOPE' });
  const later = open(place, { observe: async () => { throw new Error('later'); } });
  later.check('llm', 1);
  await waitUntil(() => warnings.length === 5);
  assert.ok(warnings.every(({ name }) => name === 'BudgetObserverWarning'));
  assert.match(warnings[0].message, /an observer of a budget threw Error: oh/);
  assert.match(warnings[4].message, /Error: later/);
  assert.throws(() => open(place, { observe: 'count' }), TypeError);
});

test('an observer may call, and close', async () => {
  const seen = [];
  const budget = make();
  const handle = open(budget.place, { observe: (event) => {
    seen.push(event.operation);
    if (event.operation === 'commit') handle.record('llm', 1);
  } });
  assert.equal(handle.commit('llm', 1).granted, 1);
  assert.equal((await handle.commitAsync('llm', 2)).requested, 2);
  assert.deepEqual(seen, ['commit', 'record', 'commit', 'record']);
  const closing = open(budget.place, { observe: () => closing.close() });
  assert.equal((await closing.recordAsync('llm', 1)).amount, 1);
  assert.throws(() => closing.check('llm', 1), { code: 'ERR_BUDGET_INVALID_ARGUMENT' });
  const owning = open(budget.place, { owning: true, observe: ({ operation }) => {
    seen.push(operation);
  } });
  owning.commit('llm', 1);
  owning.close();
  assert.equal(seen.at(-1), 'reap'); // closing ends what it holds
});

test('an observer of several handles is told of one thing at a time', async () => {
  const seen = [];
  const budget = make();
  const handle = open(budget.place, { observe: ({ operation }) => {
    seen.push(operation);
    if (operation === 'commit') sibling.record('llm', 1);
    seen.push('told');
  } });
  const sibling = handle.openNamespace('');
  handle.commit('llm', 1);
  await sibling.openNamespace('').commitAsync('llm', 1);
  const once = ['commit', 'told', 'record', 'told'];
  assert.deepEqual(seen, [...once, ...once]);
});

test('an emitter, and a budget in memory', async () => {
  const emitter = new EventEmitter();
  const budget = new BudgetEnforcer(
    { observe: (event) => emitter.emit(event.operation, event) }, MEMORY);
  budget.createEnvelope({ category: 'llm', limit: 1 });
  const told = once(emitter, 'record');
  budget.record('llm', 1);
  const [event] = await told;
  assert.equal(event.envelope.available, 0);
});

test('a worker that is terminated with an observer', async () => {
  const { place } = make();
  const worker = new Worker(`
    const { BudgetEnforcer } = require(${JSON.stringify(require.resolve('./support.js'))});
    const { workerData, parentPort } = require('node:worker_threads');
    const budget = new BudgetEnforcer({ path: workerData, durability: 'process',
      observe: (event) => parentPort.postMessage(event.operation) });
    const one = async () => {
      for (;;) await (await budget.reserveAsync('llm', 0.1)).settleAsync(0);
    };
    for (let i = 0; i < 8; i++) one();`, { eval: true, workerData: place });
  await once(worker, 'message');
  await worker.terminate();
  assert.equal(open(place).commit('llm', 50).permitted, true);
});
