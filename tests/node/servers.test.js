// SPDX-License-Identifier: Apache-2.0
'use strict';
// Budgets in the server at BE_TEST_SERVER, as in a directory.
const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { Worker } = require('node:worker_threads');

const { BudgetEnforcer, abortedWhenListenedTo, makeDirectory, race,
  waitUntil } = require('./support.js');

const server = process.env.BE_TEST_SERVER;
const kind = server.startsWith('redis') ? 'redis' : 'postgres';
const HELD = `
  const { BudgetEnforcer } = require(process.env.BUDGET_ENFORCER_PACKAGE);
  const budget = new BudgetEnforcer({ path: process.env.TEST_URL, leaseMs: 1000 });
  budget.commit('llm', 2);
`;
const HOLDER = `${HELD} console.log('held'); setInterval(() => budget, 1000);`;
const RACER = `
  const { BudgetEnforcer, race } = require(${JSON.stringify(require.resolve('./support.js'))});
  console.log(race(new BudgetEnforcer({ path: process.env.TEST_URL })));
`;

function urlOf(name) {
  return server + (kind === 'redis' ? '?environment=' : '#') + name;
}

function make(name) {
  const url = urlOf(name);
  const budget = new BudgetEnforcer({ path: url, leaseMs: 1000 });
  budget.createEnvelope({ category: 'llm', limit: 2 });
  return { url, budget };
}

function start(program, url) {
  return spawn(process.execPath, ['-e', program], {
    env: { ...process.env, TEST_URL: url }, stdio: ['ignore', 'pipe', 'inherit'],
  });
}

test('checks within an age', () => {
  const { url, budget } = make('age');
  const aged = new BudgetEnforcer({ path: url, checkAgeMs: 60000 });
  assert.equal(aged.check('llm', 2).permitted, true);
  budget.record('llm', 2);
  assert.equal(aged.check('llm', 2).permitted, true);
  aged.record('llm', 0);
  assert.equal(aged.check('llm', 2).permitted, false);
  aged.close();
  budget.close();
  assert.throws(() => new BudgetEnforcer({ path: url, checkAgeMs: -1 }), TypeError);
  assert.throws(() => new BudgetEnforcer({ path: url, checkAgeMs: 60001 }), /check_age_ms/);
});

test('spending', async () => {
  const { url, budget } = make('spending');
  const hold = await budget.reserveAsync('llm', 1.5);
  assert.equal(budget.commit('llm', 1).permitted, false);
  await hold.settleAsync(0.5);
  process.env.BUDGET_ENFORCER_DIR = url;
  const other = new BudgetEnforcer({ create: false });
  delete process.env.BUDGET_ENFORCER_DIR;
  budget.close();
  assert.equal(other.utilization('llm').available, 1.5);
  assert.deepEqual(other.verify(), []);
});

test('processes race for a limit', async () => {
  const { url, budget } = make('race');
  const counts = await Promise.all([RACER, RACER].map(async (program) => {
    const [said] = await once(start(program, url).stdout, 'data');
    return Number(said);
  }));
  assert.equal(counts[0] + counts[1], 20);
  assert.equal(budget.utilization('llm').available, 0);
});

test('what a killed process held comes back', async () => {
  const { url, budget } = make('killed');
  const holder = start(HOLDER, url);
  await once(holder.stdout, 'data');
  assert.equal(budget.commit('llm', 1).permitted, false);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  await waitUntil(() => budget.commit('llm', 2).permitted);
});

test('a terminated worker thread leaves nothing held, and other handles open', async () => {
  const { url, budget } = make('worker');
  const program = `${HELD}
    require('node:worker_threads').parentPort.postMessage('held');
    setInterval(() => budget, 1000);`;
  const worker = new Worker(program, { eval: true, env: { ...process.env, TEST_URL: url } });
  await once(worker, 'message');
  assert.equal(budget.utilization('llm').committed, 2);
  await worker.terminate();
  assert.equal(budget.utilization('llm').committed, 0);
  assert.equal(budget.commit('llm', 2).permitted, true);
});

test('a directory is copied', async () => {
  const directory = path.join(makeDirectory(), 'environment');
  const local = new BudgetEnforcer({ path: directory, durability: 'process' });
  local.createEnvelope({ category: 'llm', limit: 2 });
  for (let i = 0; i < 1000; i++) local.record('llm', 0.001); // copied in more than one step
  const { url } = make('there');
  await assert.rejects(local.copyAsync(url), { code: 'ERR_BUDGET_ALREADY_THERE' });
  const signal = abortedWhenListenedTo();
  await assert.rejects(local.copyAsync(urlOf('copy'), { signal }), { name: 'AbortError' });
  assert.throws(() => new BudgetEnforcer({ path: urlOf('copy'), create: false }),
    { code: 'ERR_BUDGET_NOT_AN_ENVIRONMENT' });
  await local.copyAsync(urlOf('copy'));
  local.copy(urlOf('copy_2'));
  for (const name of ['copy', 'copy_2']) {
    const copy = new BudgetEnforcer({ path: urlOf(name), create: false });
    assert.deepEqual([copy.utilization('llm').spent, copy.verify()], [1, []]);
    copy.close();
  }
});

test('what is for directories, and nobody there', () => {
  const scheme = kind === 'redis' ? 'redis' : 'postgresql';
  const nobody = `${scheme}://127.0.0.1:1/0`;
  assert.throws(() => new BudgetEnforcer({ path: nobody, durability: 'process' }),
    /for a directory/);
  assert.throws(() => new BudgetEnforcer({ path: nobody, leaseMs: 0.5 }), TypeError);
  assert.throws(() => new BudgetEnforcer({ path: nobody }), { code: 'ERR_BUDGET_UNREACHABLE' });
});

test('without the library', () => {
  const alone = makeDirectory();
  const built = process.env.BUDGET_ENFORCER_PACKAGE;
  for (const name of ['package.json', 'index.js', 'budget_enforcer.node']) {
    fs.copyFileSync(path.join(built, name), path.join(alone, name));
  }
  fs.copyFileSync(path.join(built, '../../libbudget-enforcer.so.0'),
    path.join(alone, 'libbudget-enforcer.so.0'));
  const said = spawnSync(process.execPath, ['-e', HELD], {
    env: { ...process.env, TEST_URL: urlOf('alone'), BUDGET_ENFORCER_PACKAGE: alone,
      LD_LIBRARY_PATH: alone },
    encoding: 'utf8',
  });
  assert.equal(said.status, 1);
  assert.match(said.stderr,
    new RegExp(`libbudget-enforcer-${kind}, which is not installed`));
});
