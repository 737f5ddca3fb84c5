// SPDX-License-Identifier: Apache-2.0
'use strict';
// child_process, cluster and worker_threads, and what the killed and the terminated leave.
const { test } = require('node:test');
const assert = require('node:assert/strict');
const cluster = require('node:cluster');
const { once } = require('node:events');
const { fork } = require('node:child_process');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { BudgetEnforcer, make, open, race, waitUntil } = require('./support.js');

const PLACE = process.env.TEST_PLACE;
const ROLE = isMainThread ? process.env.TEST_ROLE : workerData.role;

/** In children and worker threads. */
const roles = {
  race: (budget, say) => say(race(budget)),
  hold: (budget, say) => {
    budget.commit('llm', 40);
    say('held');
    setInterval(() => undefined, 1000);
  },
  // Terminated at any moment of any of this.
  churn: async (budget, say) => {
    say('churning');
    const one = async () => {
      for (;;) {
        const { commitId } = await budget.commitAsync('llm', 0.001);
        budget.check('llm', 1);
        await budget.settleAsync(commitId, 0);
        budget.commit('llm', 0.001);
      }
    };
    await Promise.all(Array.from({ length: 8 }, one));
  },
};

function work() {
  const place = isMainThread ? PLACE : workerData.place;
  const say = isMainThread ? (word) => process.send(word) : (word) => parentPort.postMessage(word);
  void roles[ROLE](new BudgetEnforcer({ path: place, durability: 'process' }), say);
  if (isMainThread && ROLE === 'race') process.disconnect();
}

async function total(workers) {
  const said = await Promise.all(workers.map((one) => once(one, 'message')));
  return said.reduce((sum, [granted]) => sum + granted, 0);
}

function env(role, budget) {
  return { ...process.env, TEST_ROLE: role, TEST_PLACE: budget.place };
}

function thread(role, budget) {
  return new Worker(__filename, { workerData: { role, place: budget.place } });
}

if (ROLE !== undefined) {
  work();
} else {
  test('child processes race', async () => {
    const budget = make();
    const workers = [1, 2, 3, 4].map(() => fork(__filename, { env: env('race', budget) }));
    assert.equal(await total(workers), 500);
    assert.deepEqual(budget.verify(), []);
  });

  test('a cluster races', async () => {
    const budget = make();
    cluster.setupPrimary({ exec: __filename });
    const workers = [1, 2, 3].map(() => cluster.fork(env('race', budget)));
    assert.equal(await total(workers), 500);
  });

  test('worker threads race', async () => {
    const budget = make();
    assert.equal(await total([1, 2, 3, 4].map(() => thread('race', budget))), 500);
  });

  test('what a killed process held comes back', async () => {
    const budget = make();
    const child = fork(__filename, { env: env('hold', budget) });
    await once(child, 'message');
    assert.equal(budget.check('llm', 20).permitted, false);
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal(budget.commit('llm', 50).permitted, true);
  });

  // 200 where sanitizers see what becomes of them, which is where that tells most; starting one
  // takes Node 50 ms of a processor.
  const tens = process.env.TEST_SANITIZED || process.env.TEST_LONG ? 20 : 4;
  test(`${tens * 10} terminated worker threads leave nothing held`, async () => {
    const budget = make();
    for (let i = 0; i < tens; i++) {
      await Promise.all(Array.from({ length: 10 }, async (_, number) => {
        const worker = thread('churn', budget);
        await once(worker, 'message');
        await new Promise((resolve) => setTimeout(resolve, (i + number) % 7));
        await worker.terminate();
      }));
    }
    await waitUntil(() => budget.utilization('llm').committed === 0);
    assert.deepEqual(open(budget.place).verify(), []);
  });
}
