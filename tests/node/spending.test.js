// SPDX-License-Identifier: Apache-2.0
'use strict';
// The calls, synchronous and on threads; errors; envelopes; listings; holds.
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { BudgetEnforcer, BudgetExceededError, MEMORY, make, makeDirectory, open, race, version } =
  require('./support.js');

test('reserve and settle', async () => {
  const budget = make();
  const hold = budget.reserve('llm', 0.4, 'a letter');
  assert.equal(budget.utilization('llm').committed, 0.4);
  const transaction = hold.settle(0.31);
  const { kind, amount, held, description } = transaction;
  assert.deepEqual([kind, amount, held, description], ['settle', 0.31, 0.4, 'a letter']);
  assert.equal(hold.release(), false);
  assert.equal(budget.utilization('llm').available, 49.69);

  const later = await budget.reserveAsync('llm', 1);
  assert.equal((await budget.extendAsync(later.id, 2, 60000)).permitted, true);
  await later[Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]();
  assert.equal(budget.utilization('llm').committed, 0);
  const { commitId } = await budget.commitAsync('llm', 1);
  assert.deepEqual([await budget.releaseAsync(commitId), await budget.releaseAsync(commitId)],
    [true, false]);
  assert.equal((await budget.recordAsync('llm', 0.1 + 0.2)).amount, 0.3);
  assert.throws(() => hold.settle(1), { code: 'ERR_BUDGET_ALREADY_SETTLED' });
});

test('refusals and errors', async () => {
  const budget = make();
  const refusal = budget.check('llm', 51);
  assert.deepEqual([refusal.permitted, refusal.reason, refusal.available, refusal.category],
    [false, 'exceeds_budget', 50, 'llm']);
  assert.equal(budget.commit('llm', 51).commitId, undefined);
  assert.equal((await budget.commitAsync('none', 1)).reason, 'no_envelope');
  assert.throws(() => budget.reserve('llm', 51), (error) => {
    assert.ok(error instanceof BudgetExceededError);
    assert.equal(error.code, 'ERR_BUDGET_EXCEEDS_BUDGET');
    assert.equal(error.result.available, 50);
    assert.match(error.message, /llm: 51 asked for, 50 available/);
    return true;
  });
  assert.throws(() => budget.record('none', 1), { name: 'BudgetRefusedError',
    code: 'ERR_BUDGET_NO_ENVELOPE' });
  await assert.rejects(budget.recordAsync('none', 1), { code: 'ERR_BUDGET_NO_ENVELOPE',
    message: /none/ });
  budget.suspend('llm');
  assert.equal(budget.commit('llm', 1).reason, 'suspended');
  assert.throws(() => new BudgetEnforcer({ path: '/proc/none' }), { name: 'BudgetFaultError' });
  assert.throws(() => new BudgetEnforcer({ path: budget.place + '-none', create: false }),
    { code: 'ERR_BUDGET_NOT_FOUND' });
  assert.throws(() => open(budget.place, { durability: 'half' }), TypeError);
});

test('never silently in memory', () => {
  delete process.env.BUDGET_ENFORCER_DIR;
  assert.throws(() => new BudgetEnforcer(), /BUDGET_ENFORCER_DIR/);
  process.env.BUDGET_ENFORCER_DIR = makeDirectory();
  new BudgetEnforcer().createEnvelope({ category: 'llm', limit: 1 });
  assert.equal(new BudgetEnforcer({}).utilization('llm').limit, 1);
  delete process.env.BUDGET_ENFORCER_DIR;
  assert.throws(() => new BudgetEnforcer({ path: 'redis://localhost' }), /directories only/);
});

test('createEnvelope is ensure unless told mustBeNew', () => {
  const budget = make();
  budget.record('llm', 1);
  const again = budget.createEnvelope({ category: 'llm', limit: 10, period: 'daily' });
  assert.deepEqual([again.limit, again.spent, again.period], [50, 1, 'total']);
  assert.throws(() => budget.createEnvelope({ category: 'llm', limit: 10, mustBeNew: true }),
    { code: 'ERR_BUDGET_ENVELOPE_EXISTS' });
  assert.equal(budget.createEnvelope({ category: 'a', limit: 1, mustBeNew: true }).limit, 1);
});

test('parents, limits, resets, removal', () => {
  const budget = make();
  const task = open(budget.place, { namespace: 'task-1' });
  const parent = { namespace: '', category: 'llm' };
  assert.deepEqual(task.createEnvelope({ category: 'llm', limit: 100, parent }).parent, parent);
  assert.equal(task.commit('llm', 60).namespace, '');
  budget.setLimit('llm', 2);
  budget.record('llm', 1);
  budget.reset('llm');
  assert.equal(budget.utilization('llm').available, 2);
  task.removeEnvelope('llm');
  assert.equal(task.check('llm', 1).reason, 'no_envelope');
  assert.throws(() => task.createEnvelope({ category: 'x', limit: 1, period: 'fortnightly' }),
    { code: 'ERR_BUDGET_INVALID_PERIOD' });
});

test('listings come in pages', () => {
  const budget = make();
  const expected = [];
  for (let i = 0; i < 10; i++) {
    budget.record('llm', 0.1, `call ${i}`);
    open(budget.place, { namespace: `task-${i}` }).createEnvelope({ category: 'llm', limit: 1 });
    expected.push(`call ${i}`);
  }
  const found = Array.from(budget.transactions({ pageSize: 3 }), (one) => one.description);
  assert.deepEqual(found, expected);
  assert.equal([...budget.envelopeNames({ pageSize: 4 })].length, 11);
  assert.deepEqual(budget.verify(), []);
});

test('many at once, on threads', async () => {
  const budget = make();
  const one = async () => {
    for (let granted = 0; ; granted++) {
      const { permitted, commitId } = await budget.commitAsync('llm', 0.1);
      if (!permitted) return granted;
      await budget.settleAsync(commitId, 0.1);
    }
  };
  const granted = await Promise.all(Array.from({ length: 100 }, one));
  assert.equal(granted.reduce((sum, more) => sum + more), 500);
  assert.equal(race(budget), 0);
  assert.deepEqual(budget.verify(), []);
});

test('what is aborted is not held', async () => {
  const budget = make();
  const early = AbortSignal.abort();
  await assert.rejects(budget.commitAsync('llm', 1, undefined, { signal: early }),
    { name: 'AbortError' });
  for (let i = 0; i < 200; i++) {
    const controller = new AbortController();
    const promise = budget.commitAsync('llm', 0.1, undefined, { signal: controller.signal });
    setImmediate(() => controller.abort());
    await promise.then(({ commitId }) => budget.release(commitId), () => undefined);
  }
  assert.equal(budget.utilization('llm').committed, 0);
});

test('close waits for what is under way', async () => {
  const budget = make();
  const promises = Array.from({ length: 50 }, () => budget.commitAsync('llm', 0.1));
  budget.close();
  for (const { permitted } of await Promise.all(promises)) assert.equal(permitted, true);
  assert.throws(() => budget.check('llm', 1), { code: 'ERR_BUDGET_INVALID_ARGUMENT' });
  await assert.rejects(budget.commitAsync('llm', 1), { code: 'ERR_BUDGET_INVALID_ARGUMENT' });
  assert.equal(open(budget.place).utilization('llm').committed, 5);
});

test('what an owning handle holds ends with it', () => {
  const budget = make();
  const owning = open(budget.place, { owning: true });
  owning.commit('llm', 1);
  budget.commit('llm', 2);
  owning.close();
  assert.equal(budget.utilization('llm').committed, 2);
});

test('memory and version', () => {
  const budget = new BudgetEnforcer({}, MEMORY);
  budget.createEnvelope({ category: 'llm', limit: 50 });
  assert.equal(race(budget), 500);
  assert.match(version, /^\d+\.\d+\.\d+$/);
});
