// SPDX-License-Identifier: Apache-2.0
'use strict';
// worker.c in JavaScript; and `agents`, which tells what 64 agents in one process do.
const { monitorEventLoopDelay } = require('node:perf_hooks');
const { BudgetEnforcer } = require(process.env.BUDGET_ENFORCER_PACKAGE);

const roles = {
  race(budget) {
    for (let granted = 0; ; granted++) {
      const { permitted, commitId } = budget.commit('llm', 0.1);
      if (!permitted) return console.log(granted);
      budget.settle(commitId, 0.1);
    }
  },
  hold(budget) {
    budget.commit('llm', 3);
    console.log('held');
    setInterval(() => undefined, 1000);
  },
  churn(budget) {
    process.stdout.write('churning\n', () => {
      for (;;) budget.settle(budget.commit('llm', 1n).commitId, 0);
    });
  },
  check(budget) {
    let least = Infinity;
    for (let round = 0; round < 300; round++) {
      const start = process.hrtime.bigint();
      for (let i = 0; i < 2000; i++) budget.check('llm', 0.1);
      least = Math.min(least, Number(process.hrtime.bigint() - start));
    }
    console.log(Math.floor(least / 2000));
  },
  // With full durability: pairs a second, and the loop's delay at its 99th percentile in ms.
  async agents(budget, asynchronous) {
    const end = Date.now() + 4000;
    let pairs = 0;
    const delay = monitorEventLoopDelay({ resolution: 1 });
    const agent = async () => {
      while (Date.now() < end) {
        if (asynchronous) {
          const { commitId } = await budget.commitAsync('llm', 1n);
          await budget.settleAsync(commitId, 0);
        } else {
          budget.settle(budget.commit('llm', 1n).commitId, 0);
          await new Promise((resolve) => setImmediate(resolve));
        }
        pairs++;
      }
    };
    delay.enable();
    await Promise.all(Array.from({ length: 64 }, agent));
    delay.disable();
    console.log(`${Math.round(pairs / 4)} ${(delay.percentile(99) / 1e6 - 1).toFixed(1)}`);
  },
};

const [, , role, place, ...more] = process.argv;
const durability = role === 'agents' ? 'full' : 'process';
void roles[role](new BudgetEnforcer({ path: place, durability }), ...more);
