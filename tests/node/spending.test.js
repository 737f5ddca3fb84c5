// SPDX-License-Identifier: Apache-2.0
'use strict';
// The calls, synchronous and on threads; errors; envelopes; listings; holds.
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { getEventListeners, once } = require('node:events');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { BudgetEnforcer, BudgetExceededError, MEMORY, abortedWhenListenedTo, make, makeDirectory,
  open, race, restore, version, waitUntil } = require('./support.js');

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
  assert.equal(budget.extend(later.id, undefined, 60000).requested, 2);
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

test('settings change what is named and keep the rest', () => {
  const budget = make();
  budget.record('llm', 7);
  let set = budget.setEnvelope('llm', { limit: '60.5', period: 'monthly', zone: 'Etc/UTC',
    beginsOn: 15, thresholds: [50, 80] });
  assert.deepEqual([set.limit, set.period, set.spent], [60.5, 'monthly', 7]);
  set = budget.setEnvelope('llm', { suspended: true, observeOnly: true });
  assert.deepEqual([set.suspended, set.limit], [true, 60.5]);
  set = budget.setEnvelope('llm', { suspended: false, observeOnly: false, clearSpent: true,
    raised: { amount: 5, until: new Date(Date.now() + 1e6) } });
  assert.deepEqual([set.suspended, set.spent, set.available], [false, 0, 65.5]);
  assert.equal(budget.setEnvelope('llm', { raised: null }).available, 60.5);
  budget.setEnvelope('llm', { name: { category: 'models' } });
  budget.createEnvelope({ category: 'above', limit: 5 });
  set = budget.setEnvelope('models', { parent: { category: 'above' } });
  assert.deepEqual(set.parent, { namespace: '', category: 'above' });
  assert.throws(() => budget.setEnvelope('models', { parent: {} }), { name: 'BudgetFaultError' });
  assert.equal(budget.setEnvelope('models', { parent: null }).parent, undefined);
  budget.setEnvelope('models', { name: { namespace: 'team', category: 'llm' } });
  assert.equal(open(budget.place, { namespace: 'team' }).utilization('llm').limit, 60.5);

  assert.throws(() => budget.setEnvelope('llm', { colour: 'red' }), /colour is no setting/);
  assert.throws(() => budget.setEnvelope('llm', { zone: 'Etc/UTC' }), /with a period/);
  const other = make();
  for (const wrong of [{}, { limit: -1 }, { thresholds: [0] }, { thresholds: [80, 50] },
    { thresholds: [80.5] }, { thresholds: [2 ** 32 + 80] }, { raised: { amount: 9 } },
    { thresholds: [1, 2, 3, 4, 5, 6, 7, 8, 9] }, { period: 'fortnightly' }, { name: {} }]) {
    assert.throws(() => other.setEnvelope('llm', wrong), { name: 'BudgetFaultError' },
      JSON.stringify(wrong));
  }
  assert.equal(other.utilization('llm').limit, 50);
});

test('settings of another type are not taken for their opposite', () => {
  const budget = make(), until = Date.now() + 1e6;
  budget.createEnvelope({ category: 'above', limit: 100 });
  budget.setEnvelope('llm', { suspended: true, observeOnly: true, thresholds: [50, 80],
    raised: { amount: 5, until }, parent: { category: 'above' } });
  const before = budget.utilization('llm');
  for (const wrong of [{ thresholds: 90 }, { thresholds: null }, { thresholds: ['90'] },
    { thresholds: { 0: 90 } }, { suspended: 1 }, { suspended: null }, { observeOnly: 1 },
    { observeOnly: 'true' }, { clearSpent: 'false' }, { raised: {} }, { raised: { until } },
    { raised: 5 }, { raised: false },
    { raised: { amount: 9, until: 'tomorrow' } }, { parent: false }, { parent: 'above' },
    { period: 'weekly', zone: 'Etc/UTC', beginsOn: '3' }]) {
    assert.throws(() => budget.setEnvelope('llm', wrong), TypeError, JSON.stringify(wrong));
    assert.throws(() => budget.apply([{ operation: 'resume', category: 'above' },
      { operation: 'set', category: 'llm', ...wrong }]), { name: 'TypeError', failed: 1 });
  }
  assert.deepEqual(budget.utilization('llm'), before);
  for (const wrong of [{ suspended: 1 }, { observeOnly: null }, { parent: 'above' },
    { startsAt: new Date('never') }, { colour: 'red' }]) {
    assert.throws(() => budget.createEnvelope({ category: 'new', limit: 1, ...wrong }),
      TypeError, JSON.stringify(wrong));
  }
  assert.throws(() => budget.createEnvelope({ category: 'new', limit: 1, parent: {} }),
    { name: 'BudgetFaultError' });
  assert.equal(budget.check('new', 1).reason, 'no_envelope');
});

test('many changes are made in their order', async () => {
  const place = make().place, told = [];
  const budget = open(place, { observe: ({ operation }) => told.push(operation) });
  budget.apply([
    { operation: 'create', category: 'day', limit: '2.5', period: 'daily', zone: 'Etc/UTC' },
    { operation: 'ensure', namespace: 'task', category: 'llm', limit: 1,
      parent: { namespace: '', category: 'day' } },
    { operation: 'set', namespace: 'task', category: 'llm', thresholds: [50, 90],
      raised: { amount: 1, until: Date.now() + 1e9 } },
    { operation: 'set_limit', category: 'llm', limit: 7 },
    { operation: 'suspend', category: 'day' },
  ]);
  const day = budget.utilization('day');
  assert.deepEqual([day.limit, day.period, day.zone, day.suspended],
    [2.5, 'daily', 'Etc/UTC', true]);
  const [task] = budget.envelopes({ namespace: 'task' });
  assert.deepEqual([task.limit, task.limitNow, task.thresholds, task.parent],
    [1, 2, [50, 90], { namespace: '', category: 'day' }]);
  assert.equal(budget.utilization('llm').limit, 7);
  assert.deepEqual(told, ['create', 'ensure', 'set', 'set_limit', 'suspend']);
  assert.deepEqual(await betweenTwo(() => budget.applyAsync([
    { operation: 'resume', category: 'day' },
    { operation: 'reset', category: 'llm' },
    { operation: 'remove', namespace: 'task', category: 'llm' },
  ])), ['the loop goes on', undefined]);
  assert.equal(budget.utilization('day').suspended, false);
  assert.deepEqual([...budget.envelopes({ namespace: 'task' })], []);
  budget.apply([]);
});

test('or none of them', async () => {
  const budget = make();
  const good = { operation: 'set_limit', category: 'llm', limit: 1 };
  for (const [wrong, code] of [
    [{ operation: 'reset', category: 'none' }, 'NO_ENVELOPE'],
    [{ operation: 'create', category: 'llm', limit: 1 }, 'ENVELOPE_EXISTS'],
    [{ ...good, limit: '0.4x' }, 'AMOUNT_NOT_A_NUMBER'],
    [{ ...good, namespace: 'a\0b' }, 'INVALID_NAME'],
    [{ operation: 'set', category: 'llm', thresholds: [1001] }, 'INVALID_ARGUMENT'],
    [{ operation: 'remove' }, 'INVALID_ARGUMENT'],
  ]) {
    const changes = [good, good, wrong, good];
    const error = { code: `ERR_BUDGET_${code}`, failed: 2 };
    assert.throws(() => budget.apply(changes), error);
    await assert.rejects(budget.applyAsync(changes), error);
  }
  for (const [wrong, message] of [
    [{ operation: 'commit' }, /one of create, /], [{}, /not undefined/], [null, /not null/],
    [7, /not 7/], [{ operation: 'set', category: 'llm', treshold: [1] }, /treshold/],
    [{ operation: 'create', category: 'a', limit: 1, perod: 'daily' }, /perod/],
    [{ operation: 'ensure', category: 'a', limit: 1, mustBeNew: true }, /mustBeNew/],
    [{ operation: 'set_limit', category: 'llm', limit: 1, period: 'daily' }, /period/],
    [{ operation: 'suspend', category: 'llm', limit: 1 }, /limit/],
  ]) {
    const error = { name: 'TypeError', message, failed: 1 };
    assert.throws(() => budget.apply([good, wrong]), error);
    await assert.rejects(budget.applyAsync([good, wrong]), error);
  }
  assert.throws(() => budget.apply(new Array(1000001)), ({ code, failed, message }) => (
    code === 'ERR_BUDGET_INVALID_ARGUMENT' && failed === undefined && /up to/.test(message)));
  assert.equal(budget.utilization('llm').limit, 50);
  budget.close();
  assert.throws(() => budget.apply([good]),
    ({ code, failed }) => code === 'ERR_BUDGET_INVALID_ARGUMENT' && failed === undefined);
});

test('alerts are listed, followed, and done once', async () => {
  const budget = make();
  budget.setEnvelope('llm', { thresholds: [50, 80] });
  budget.record('llm', 25);
  const abort = new AbortController();
  const seen = [];
  for await (const alert of budget.followAlerts({ intervalMs: 1, signal: abort.signal })) {
    seen.push([alert.percent, alert.spent, alert.category, alert.spender.category]);
    if (seen.length === 1) setTimeout(() => budget.record('llm', 20), 5);
    else abort.abort();
  }
  assert.deepEqual(seen, [[50, 25, 'llm', 'llm'], [80, 45, 'llm', 'llm']]);
  const [first, second] = budget.alerts({ pageSize: 1 });
  assert.deepEqual([budget.alertDone(first.id), budget.alertDone(first.id)], [true, false]);
  assert.ok([...budget.alerts()][0].done instanceof Date);
  assert.deepEqual([...budget.alerts({ after: first.id })].map(({ id }) => id), [second.id]);
  assert.throws(() => budget.alertDone(99), { code: 'ERR_BUDGET_NO_ALERT' });
});

test('never silently in memory', () => {
  delete process.env.BUDGET_ENFORCER_DIR;
  assert.throws(() => new BudgetEnforcer(), /BUDGET_ENFORCER_DIR/);
  process.env.BUDGET_ENFORCER_DIR = makeDirectory();
  new BudgetEnforcer().createEnvelope({ category: 'llm', limit: 1 });
  assert.equal(new BudgetEnforcer({}).utilization('llm').limit, 1);
  delete process.env.BUDGET_ENFORCER_DIR;
  assert.throws(() => new BudgetEnforcer({ path: 'redis://localhost', durability: 'process' }),
    /durability is for a directory/);
});

test('a place that is too long is refused, not cut', async () => {
  const budget = make(), long = `/${'a/'.repeat(2047)}ab`, error = { // 4097 bytes
    code: 'ERR_BUDGET_INVALID_ARGUMENT' };
  assert.throws(() => new BudgetEnforcer({ path: long }), error);
  assert.throws(() => budget.backup(long), error);
  await assert.rejects(budget.backupAsync(long), error);
  assert.throws(() => restore(long, long), error);
  assert.throws(() => budget.copy(`redis://${long}`), error);
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
  const names = Array.from(budget.envelopes({ pageSize: 4 }), (one) => one.namespace);
  assert.deepEqual(names, ['', ...Array.from({ length: 10 }, (_, i) => `task-${i}`)]);
  assert.equal([...budget.envelopes({ namespace: 'task-7' })].length, 1);
  const commits = Array.from({ length: 5 }, (_, i) => budget.commit('llm', 0.2, `held ${i}`,
    { ttlMs: 60000, onDeath: 'charge', labels: { step: String(i) } }).commitId);
  const held = [...budget.commits({ pageSize: 2 })];
  assert.deepEqual(held.map(({ id }) => id), commits);
  const { amount, state, onDeath, ownerPid, ownerAlive, description, labels } = held[1];
  assert.deepEqual({ amount, state, onDeath, ownerPid, ownerAlive, description, labels },
    { amount: 0.2, state: 'pending', onDeath: 'charge', ownerPid: process.pid, ownerAlive: true,
      description: 'held 1', labels: { step: '1' } });
  assert.ok(held[1].deadline > held[1].created);
  assert.equal([...budget.commits({ labels: { step: '3' } })][0].id, commits[3]);
  assert.deepEqual(budget.verify(), []);
});

test('owners and statistics', async () => {
  const budget = make();
  const { commitId } = budget.commit('llm', 1);
  const child = spawnSync(process.execPath, ['-e', `
    const { open } = require(${JSON.stringify(require.resolve('./support.js'))});
    open(process.argv[1]).commit('llm', 2);`, budget.place]);
  assert.equal(child.status, 0, String(child.stderr));
  const owners = budget.owners();
  const mine = owners.find(({ pid }) => pid === process.pid);
  const dead = owners.find(({ pid }) => pid === child.pid);
  assert.deepEqual([owners.length, mine.alive, mine.pidHere, dead.alive, dead.pidHere],
    [2, true, process.pid, false, 0]);
  assert.deepEqual([...budget.commits()].map(({ ownerId, ownerPid }) => [ownerId, ownerPid]),
    [[mine.id, process.pid], [dead.id, child.pid]]);
  budget.check('none', 1);
  budget.settle(commitId, 1);
  assert.equal(budget.reap(), 1);
  const stats = budget.stats();
  const { durability, waiting, wentBack, nextEnvelopeId, nextCommitId, nextTransactionId, prunedId,
    orphanedReleased, orphanedCharged, refusedNoEnvelope, refusalsKnown, losses } = stats;
  assert.deepEqual({ durability, owners: stats.owners, waiting, wentBack, nextEnvelopeId,
    nextCommitId, nextTransactionId, prunedId, orphanedReleased, orphanedCharged, refusedNoEnvelope,
    refusalsKnown, losses }, { durability: 'process', owners: 1, waiting: 0, wentBack: false,
    nextEnvelopeId: '2', nextCommitId: '3', nextTransactionId: '2', prunedId: undefined,
    orphanedReleased: 1, orphanedCharged: 0, refusedNoEnvelope: 1, refusalsKnown: true,
    losses: 0 });
  assert.ok(stats.created > 0 && stats.formatVersion > 0 && stats.changes > 0);
  assert.ok(stats.mapSize >= stats.fileSize && stats.mapSize % stats.pageSize === 0);
  assert.ok(stats.fileSize >= stats.pages * stats.pageSize && stats.pages > stats.freePages);
  assert.ok(stats.readersMax > stats.readers && stats.readers >= stats.staleReaders);
  assert.equal(stats.fileSize, fs.statSync(path.join(budget.place, 'data.mdb')).size);
  budget.prune(Date.now() + 1000);
  assert.equal(budget.stats().prunedId, '1');
  assert.equal(Object.values(budget.stats()).includes(undefined), false);
  const memory = new BudgetEnforcer({}, MEMORY);
  assert.deepEqual([memory.owners(), memory.stats().fileSize], [[], 0]);
});

test('a backup is restored', async () => {
  const budget = make();
  budget.record('llm', 7);
  const file = path.join(makeDirectory(), 'backup');
  assert.deepEqual(await betweenTwo(() => budget.backupAsync(file)),
    ['the loop goes on', undefined]);
  budget.record('llm', 1);
  await assert.rejects(budget.backupAsync(file), { code: 'ERR_BUDGET_ALREADY_THERE' });
  assert.throws(() => budget.backup(file), { code: 'ERR_BUDGET_ALREADY_THERE' });
  budget.backup(`${file}-2`);
  for (const [name, spent] of [[file, 7], [`${file}-2`, 8]]) {
    restore(name, `${name}-copy`);
    const restored = open(`${name}-copy`, { create: false });
    assert.deepEqual([restored.utilization('llm').spent, restored.verify()], [spent, []]);
  }
  assert.throws(() => restore(file, budget.place), { code: 'ERR_BUDGET_ALREADY_THERE' });
  assert.throws(() => restore(file), TypeError);
  assert.throws(() => budget.copy(file), TypeError);
  await assert.rejects(budget.copyAsync(file), TypeError);
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

test('a commit that is wrong leaves no listener on its signal', async () => {
  const { signal } = new AbortController();
  await assert.rejects(make().commitAsync('llm', 1, undefined, { signal, labels: { a: 1 } }),
    TypeError);
  assert.deepEqual(getEventListeners(signal, 'abort'), []);
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

test('an aborted retry takes nothing from the first', async () => {
  const budget = make();
  const { commitId } = budget.commit('llm', 1, undefined, { key: 'once' });
  const controller = new AbortController();
  const retry = budget.commitAsync('llm', 1, undefined, { key: 'once', signal: controller.signal });
  controller.abort();
  await assert.rejects(retry, { name: 'AbortError' });
  assert.equal(budget.utilization('llm').committed, 1);
  assert.equal(budget.commit('llm', 1, undefined, { key: 'once' }).commitId, commitId);
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

test('another namespace from a handle', async () => {
  const told = [], place = make().place;
  const first = open(place, { amounts: 'string',
    observe: ({ operation, namespace }) => told.push(`${namespace} ${operation}`) });
  const task = first.openNamespace('task'), below = task.openNamespace('below');
  assert.throws(() => first.openNamespace('a\n'), { code: 'ERR_BUDGET_INVALID_NAME' });
  assert.throws(() => first.openNamespace(), { code: 'ERR_BUDGET_INVALID_ARGUMENT' });
  first.close();
  assert.throws(() => first.openNamespace('late'), { code: 'ERR_BUDGET_INVALID_ARGUMENT' });
  task.createEnvelope({ category: 'llm', limit: 1, parent: { namespace: '', category: 'llm' } });
  await task.recordAsync('llm', '0.5');
  assert.deepEqual([task.namespace, task.utilization('llm').spent], ['task', '0.5']);
  assert.deepEqual(told, ['task ensure', 'task record']);
  task.close();
  assert.equal(below.check('llm', 1).reason, 'no_envelope');
  const memory = new BudgetEnforcer({}, MEMORY), other = memory.openNamespace('other');
  memory.close();
  other.createEnvelope({ category: 'llm', limit: 1 });
  assert.equal(other.check('llm', 1).permitted, true);
  other.close();
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

test('a key makes it once', async () => {
  const budget = make();
  const first = budget.record('llm', 1, 'a page', { key: 'step 1' });
  assert.equal((await budget.recordAsync('llm', 1, 'a page', { key: 'step 1' })).id, first.id);
  assert.throws(() => budget.record('llm', 2, 'a page', { key: 'step 1' }),
    { code: 'ERR_BUDGET_KEY_REUSED' });
  const { commitId } = budget.commit('llm', 1, undefined, { key: 'step 2' });
  assert.equal(budget.commit('llm', 1, undefined, { key: 'step 2' }).commitId, commitId);
  const settled = await budget.settleAsync(commitId, 2, undefined, { key: 'step 3' });
  assert.equal(budget.settle(commitId, 2, undefined, { key: 'step 3' }).id, settled.id);
  assert.equal(budget.utilization('llm').spent, 3);
});

test('labels are kept, added to and listed by', async () => {
  const budget = make();
  const { commitId } = budget.commit('llm', 1, undefined,
    { labels: { task: '7', customer: 'Zoë' } });
  const said = [budget.settle(commitId, 1, undefined, { labels: { model: 'small', task: '8' } })];
  const hold = await budget.reserveAsync('llm', 1, undefined, { labels: { customer: 'acme' } });
  said.push(await hold.settleAsync(1, undefined, { labels: { model: 'large' } }));
  said.push(budget.record('llm', 1, undefined, { labels: { customer: 'acme' } }));
  said.push(await budget.recordAsync('llm', 1));
  const labels = [{ customer: 'Zoë', model: 'small', task: '8' },
    { customer: 'acme', model: 'large' }, { customer: 'acme' }, {}];
  assert.deepEqual(said.map((one) => one.labels), labels);
  assert.deepEqual([...budget.transactions()].map((one) => one.labels), labels);
  const found = budget.transactions({ labels: { customer: 'acme', model: null } });
  assert.deepEqual([...found].map((one) => one.id), ['2']);
  for (const labels of [{ '': 'x' }, { a: 'b\n' }, { a: 'b\0c' }, { a: 'x'.repeat(129) },
    Object.fromEntries([...'abcdefghi'].map((key) => [key, '']))]) {
    assert.throws(() => budget.record('llm', 1, undefined, { labels }),
      { code: 'ERR_BUDGET_INVALID_LABEL' });
  }
  for (const labels of [null, 'a=b', ['a', 'b'], { a: 1 }, { a: null }]) {
    assert.throws(() => budget.commit('llm', 1, undefined, { labels }), TypeError);
  }
});

test('labels that cannot be read back', async () => {
  const first = make();
  const request = { key: 'once', labels: { customer: 'somebody' } };
  const { id } = first.record('llm', 1, undefined, request);
  first.close();
  const file = path.join(first.place, 'data.mdb');
  fs.writeFileSync(file,
    fs.readFileSync(file, 'latin1').replaceAll('somebody', 'some\0ody'), 'latin1');
  const budget = open(first.place);
  assert.throws(() => [...budget.transactions()], { code: 'ERR_BUDGET_DAMAGED' });
  for (const again of [budget.record('llm', 1, undefined, request),
    await budget.recordAsync('llm', 1, undefined, request)]) {
    assert.deepEqual([again.id, again.amount], [id, 1]);
    assert.throws(() => again.labels, { code: 'ERR_BUDGET_DAMAGED', message: /it was charged/ });
  }
});

test('a part is charged and the rest is held', async () => {
  const budget = make();
  const hold = budget.reserve('llm', 5, 'a task', { labels: { task: '7' } });
  const { kind, amount, held, description, labels } = hold.charge(2, undefined,
    { labels: { model: 'small' } });
  assert.deepEqual({ kind, amount, held, description, labels }, { kind: 'charge', amount: 2,
    held: 5, description: 'a task', labels: { model: 'small', task: '7' } });
  assert.equal((await hold.chargeAsync(0.5, 'more', { key: 'step 2' })).held, 3);
  budget.charge(hold.id, 0.5, 'more', { key: 'step 2' });
  assert.equal([...budget.commits()][0].amount, 2.5);
  assert.equal((await hold.settleAsync(1)).held, 2.5);
  assert.throws(() => hold.charge(1), { code: 'ERR_BUDGET_ALREADY_SETTLED' });
  assert.equal(budget.utilization('llm').spent, 3.5);
});

test('a charge is corrected', async () => {
  for (const amounts of ['number', 'string', 'bigint']) {
    const budget = make({ amounts });
    const of = { number: Number, string: String, bigint: (n) => BigInt(n * 1e9) }[amounts];
    const charged = budget.record('llm', 5);
    const given = budget.correct(charged.id, '1.5', 'counted twice');
    const { kind, amount, corrects, envelopeId } = given;
    assert.deepEqual([kind, amount, corrects, envelopeId],
      ['correction', of(-1.5), charged.id, budget.utilization('llm').id]);
    await budget.correctAsync(charged.id, '1.5', undefined, { key: 'once', keyMs: 60000 });
    budget.correct(charged.id, '1.5', undefined, { key: 'once' });
    assert.deepEqual([...budget.transactions()].map((one) => one.amount), [5, -1.5, -1.5].map(of));
    const { spent, charged: all, givenBack } = budget.utilization('llm');
    assert.deepEqual([spent, all, givenBack], [2, 5, 3].map(of));
    assert.throws(() => budget.correct(charged.id, 3), { code: 'ERR_BUDGET_EXCEEDS_CHARGE' });
    assert.throws(() => budget.correct(99, 1), { code: 'ERR_BUDGET_NO_TRANSACTION' });
  }
});

test('what was reaped is settled late', async () => {
  const budget = make();
  const { commitId } = budget.commit('llm', 1, undefined, { ttlMs: 1, labels: { task: '7' } });
  await waitUntil(() => budget.reap() === 1);
  const { late, amount, labels } = budget.settle(commitId, 2);
  assert.deepEqual({ late, amount, labels }, { late: true, amount: 2, labels: { task: '7' } });
});

test('several envelopes at once', async () => {
  const budget = make();
  budget.createEnvelope({ category: 'day', limit: 3 });
  const customers = open(budget.place, { namespace: 'customers' });
  customers.createEnvelope({ category: 'acme', limit: 2 });
  const also = [{ namespace: 'customers', category: 'acme' }, { category: 'day' }];
  const named = [also[0], { namespace: '', category: 'day' }];
  const hold = await budget.reserveAsync('llm', 1, undefined, { also });
  assert.equal(customers.utilization('acme').committed, 1);
  assert.deepEqual([...budget.commits()][0].also, named);
  assert.deepEqual((await hold.settleAsync(1)).also, named);
  assert.deepEqual(budget.record('llm', 0.5, undefined, { also }).also, named);
  assert.deepEqual(budget.record('llm', 0.5).also, []);
  assert.deepEqual([...budget.transactions()].map((one) => one.also), [named, named, []]);
  const refusal = budget.commit('llm', 1, undefined, { also });
  assert.deepEqual([refusal.permitted, refusal.category], [false, 'acme']);
  assert.throws(() => budget.commit('llm', 1, undefined, { also: ['day'] }), TypeError);
  for (const wrong of [Array(16).fill({ category: 'day' }), [{ category: 'x'.repeat(200) }],
    [{ namespace: 1, category: 'a' }]]) {
    assert.throws(() => budget.record('llm', 1, undefined, { also: wrong }),
      { name: 'BudgetFaultError' });
  }
});

test('as much as there is', async () => {
  const budget = make();
  budget.record('llm', 49);
  const hold = await budget.reserveAsync('llm', 5, undefined, { least: '0.5' });
  assert.equal(hold.amount, 1);
  hold.release();
  const { requested, granted } = budget.commit('llm', 0.5);
  assert.deepEqual([requested, granted], [0.5, 0.5]);
  assert.equal(budget.commit('llm', 5, undefined, { least: 2 }).permitted, false);
  assert.throws(() => budget.commit('llm', 5, undefined, { least: -1 }),
    { code: 'ERR_BUDGET_AMOUNT_NEGATIVE' });
});

test('a namespace ends', () => {
  const budget = make();
  const task = open(budget.place, { namespace: 'task-1' });
  task.createEnvelope({ category: 'llm', limit: 1, parent: { namespace: '', category: 'llm' } });
  task.createEnvelope({ category: 'web', limit: 1 });
  const { commitId } = task.commit('llm', 1);
  assert.throws(() => task.endNamespace(), { code: 'ERR_BUDGET_HAS_COMMITS' });
  assert.deepEqual(task.endNamespace({ release: true }), { removed: 2, released: 1 });
  assert.equal(task.release(commitId), false);
  assert.equal(budget.utilization('llm').committed, 0);
});

// Two immediates run in one turn of the loop, and the answers of threads come between turns.
function betweenTwo(call) {
  const said = [];
  return new Promise((resolve, reject) => {
    setImmediate(() => call().then((answer) => {
      said.push(answer);
      resolve(said);
    }, reject));
    setImmediate(() => said.push('the loop goes on'));
  });
}

test('the loop goes on while supervisors look after things', async () => {
  const budget = make();
  const task = open(budget.place, { namespace: 'task-1' });
  task.createEnvelope({ category: 'llm', limit: 1 });
  task.commit('llm', 1);
  task.commit('llm', 0, undefined, { ttlMs: 1 });
  await waitUntil(() => [...task.commits()].some(({ state }) => state === 'expired'));
  budget.record('llm', 1);
  for (const [call, answer] of [
    [() => task.reapAsync(), 1],
    [() => task.endNamespaceAsync({ release: true }), { removed: 1, released: 1 }],
    [() => budget.pruneAsync(Date.now() + 1000), 1],
  ]) {
    assert.deepEqual(await betweenTwo(call), ['the loop goes on', answer]);
  }
  await assert.rejects(budget.pruneAsync(undefined), TypeError);
  task.createEnvelope({ category: 'llm', limit: 1 });
  task.commit('llm', 1);
  await assert.rejects(task.endNamespaceAsync(), { code: 'ERR_BUDGET_HAS_COMMITS' });
});

test('pruning is aborted', async () => {
  const budget = make();
  const lines = 200; // more than one step removes
  for (let i = 0; i < lines; i++) budget.record('llm', 0);
  const before = Date.now() + 1000;
  await assert.rejects(budget.pruneAsync(before, { signal: AbortSignal.abort() }),
    { name: 'AbortError' });
  assert.equal([...budget.transactions()].length, lines);
  const signal = abortedWhenListenedTo();
  await assert.rejects(budget.pruneAsync(before, { signal }), { name: 'AbortError' });
  const left = [...budget.transactions()].length;
  assert.ok(left > 0 && left < lines, `${left} are left`);
  assert.equal(await budget.pruneAsync(before), left);
});

test('what was pruned has not the labels of another', async () => {
  const budget = make();
  const given = { key: 'once', labels: { a: '1' } };
  const first = budget.record('llm', 1, undefined, given);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const between = new Date(Date.now() - 5);
  budget.record('llm', 2, undefined, { labels: { b: '2' } });
  assert.equal(budget.prune(between), 1);
  for (const again of [budget.record('llm', 1, undefined, given),
    await budget.recordAsync('llm', 1, undefined, given)]) {
    assert.equal(again.id, first.id);
    assert.deepEqual(again.labels ?? {}, {});
  }
});

test('what was pruned stays as daily sums', () => {
  const budget = make();
  budget.createEnvelope({ category: 'day', limit: 5 });
  const also = [{ namespace: '', category: 'day' }];
  for (let i = 0; i < 3; i++) budget.record('llm', i, undefined, { also });
  budget.record('day', 1);
  assert.deepEqual(budget.dailySums(), { sums: [], lastId: '0' });
  assert.throws(() => budget.prune(undefined), TypeError);
  assert.equal(budget.prune(new Date(Date.now() + 1000)), 4);
  const after = budget.record('llm', 7);
  const { sums, lastId } = budget.dailySums();
  sums.sort((a, b) => (a.category < b.category ? -1 : 1));
  assert.deepEqual(sums.map((one) => [one.category, one.kind, one.amount, one.count, one.also]),
    [['day', 'record', 1, 1, []], ['llm', 'record', 3, 3, also]]);
  assert.equal(sums[0].day % 86400000, 0);
  assert.deepEqual([...budget.transactions({ after: lastId })].map(({ id }) => id), [after.id]);
  assert.deepEqual(budget.dailySums({ namespace: 'none' }).sums, []);
});

test('envelopes show how they were set', () => {
  const budget = make();
  budget.createEnvelope({ category: 'day', limit: 5, period: 'weekly', zone: 'Etc/UTC',
    beginsOn: 7, rollOver: 2 });
  const until = new Date(Date.now() + 1e6);
  const shown = budget.setEnvelope('day', { thresholds: [50, 80], raised: { amount: 1, until } });
  const { zone, beginsOn, rollOver, thresholds, raised, limitNow, observeOnly } = shown;
  assert.deepEqual({ zone, beginsOn, rollOver, thresholds, raised, limitNow, observeOnly },
    { zone: 'Etc/UTC', beginsOn: 7, rollOver: 2, thresholds: [50, 80], raised: { amount: 1, until },
      limitNow: 6, observeOnly: false });
  const refusal = budget.check('day', 7);
  assert.equal(Number(refusal.windowEnd), Number(shown.periodEnd));
  assert.deepEqual(budget.utilization('day').refused, { exceedsBudget: 1, suspended: 0 });
  assert.deepEqual(budget.utilization('day'), [...budget.envelopes({ category: 'day' })][0]);
});

test('times come back as they were given', () => {
  const budget = new BudgetEnforcer({}, MEMORY);
  budget.createEnvelope({ category: 'llm', limit: 1 });
  for (let i = 0, soon = Date.now() + 1e9; i < 100; i++) {
    const until = new Date(soon + 12345 * i);
    assert.deepEqual(budget.setEnvelope('llm', { raised: { amount: 1, until } }).raised.until,
      until);
  }
});

test('a hundred wait for what one holds', async () => {
  const budget = make();
  budget.createEnvelope({ category: 'slot', limit: 1 });
  const { commitId } = budget.commit('slot', 1);
  const controller = new AbortController();
  const one = async (options) => {
    const hold = await budget.reserveAsync('slot', 1, undefined, { waitMs: Infinity, ...options });
    await hold.settleAsync(0);
  };
  const all = Array.from({ length: 100 }, one);
  const aborted = assert.rejects(one({ signal: controller.signal }), { name: 'AbortError' });
  controller.abort();
  await budget.releaseAsync(commitId); // the threads that free are not used up by those who wait
  await Promise.all(all);
  await aborted;
  assert.equal(budget.utilization('slot').committed, 0);

  budget.commit('slot', 1);
  assert.equal(budget.commit('slot', 1, undefined, { waitMs: 1 }).reason, 'exceeds_budget');
  assert.equal((await budget.commitAsync('slot', 1, undefined, { waitMs: 'window' })).permitted,
    false);
  assert.throws(() => budget.commit('slot', 1, undefined, { waitMs: -1 }), TypeError);
});

test('a worker that is terminated while it waits leaves nothing', async () => {
  const budget = make();
  const { commitId } = budget.commit('llm', 50);
  const worker = new Worker(`
    const { BudgetEnforcer } = require(${JSON.stringify(require.resolve('./support.js'))});
    const { workerData, parentPort } = require('node:worker_threads');
    const budget = new BudgetEnforcer({ path: workerData, durability: 'process' });
    budget.commitAsync('llm', 1, undefined, { waitMs: Infinity });
    parentPort.postMessage('waits');`, { eval: true, workerData: budget.place });
  await once(worker, 'message');
  await worker.terminate();
  budget.release(commitId);
  assert.equal(budget.commit('llm', 50).permitted, true);
});
