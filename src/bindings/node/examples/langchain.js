// SPDX-License-Identifier: Apache-2.0
'use strict';
// Callbacks for LangChain: `model.invoke(text, { callbacks: [meter(budget, 'llm', options)] })`.
// A refusal is thrown before the call, as raiseError and awaitHandlers ask LangChain to.
const { BudgetExceededError } = require('budget-enforcer');
const { costOf } = require('budget-enforcer/spend');

function meter(budget, category, { estimate, price, ttlMs = 600_000 }) {
  const commits = new Map();
  const reserve = async (_model, _input, runId) => {
    const commit = await budget.commitAsync(category, estimate, undefined,
      { ttlMs, onDeath: 'charge' });
    if (!commit.permitted) throw new BudgetExceededError(commit);
    commits.set(runId, commit.commitId);
  };
  const settle = async (runId, usage) => {
    await budget.settleAsync(commits.get(runId), costOf(usage, price) ?? estimate);
    commits.delete(runId);
  };
  return {
    name: 'budget-enforcer', raiseError: true, awaitHandlers: true,
    handleLLMStart: reserve,
    handleChatModelStart: reserve,
    handleLLMEnd: (output, runId) =>
      settle(runId, output.generations[0]?.[0]?.message?.usage_metadata),
    handleLLMError: (error, runId) => (commits.has(runId) ? typeof error?.status === 'number'
      ? budget.releaseAsync(commits.get(runId)) : settle(runId, undefined) : undefined),
  };
}

exports.meter = meter;
