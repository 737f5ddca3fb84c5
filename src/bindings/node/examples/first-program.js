// SPDX-License-Identifier: Apache-2.0
const { BudgetEnforcer } = require('budget-enforcer');

const budget = new BudgetEnforcer({ path: process.argv[2] ?? 'budget' });
budget.createEnvelope({ category: 'llm', limit: 5, period: 'daily' });

async function main() {
  const hold = await budget.reserveAsync('llm', 0.40, 'summarise a page'); // 0.40 at most
  await hold.settleAsync(0.31); // here the model is called; it cost 0.31
  console.log(`${budget.utilization('llm').available} left for today`);
}
main();
