// SPDX-License-Identifier: Apache-2.0
'use strict';
// The document that the project implements has its patterns as TypeScript. Its blocks are read from
// the file that BUDGET_PATTERNS names, stripped of their types by the compiler, and run with
// nothing changed but the package's name; what they use and do not define is supplied here.
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { BudgetEnforcer, BudgetExceededError, make } = require('./support.js');

const FILE = process.env.BUDGET_PATTERNS;

function loadCompiler() {
  for (const place of ['', '/usr/share/nodejs/', '/usr/lib/nodejs/']) {
    try {
      return require(`${place}typescript`);
    } catch {
      // the next one
    }
  }
  return undefined;
}
const typescript = loadCompiler();
const reason = !typescript ? 'there is no TypeScript compiler (Debian package node-typescript)'
  : !FILE || !fs.existsSync(FILE) ? `the document is not there (${FILE})` : false;
if (reason) console.log(`SKIPPED: the document's own programs were not run: ${reason}`);

function readBlocks() {
  const text = fs.readFileSync(FILE, 'utf8');
  return Array.from(text.matchAll(/```typescript\n([\s\S]*?)```/g), (match) => match[1]);
}

/** The block with this text in it, as a function of what it uses; the result is what it returns,
 * or the value of `result`. */
function run(marker, names, result = 'undefined') {
  const block = readBlocks().find((one) => one.includes(marker));
  assert.ok(block, `no block with ${marker}`);
  const imports = [];
  const body = block.replace(/^import .*$/gm, (line) => {
    imports.push(line.replace(/'@[^']*'/, "'budget-enforcer'"));
    return '';
  });
  const source = `${imports.join('\n')}
export const run = async (${Object.keys(names).map((name) => `${name}: any`).join(', ')}) => {
${body}
return ${result}; };`;
  const { outputText } = typescript.transpileModule(source, {
    compilerOptions: { target: 'es2022', module: 'commonjs', strict: true },
    reportDiagnostics: true,
  });
  const module = { exports: {} };
  new Function('exports', 'require', outputText)(module.exports, require);
  return module.exports.run(...Object.values(names));
}

function setUp(limit) {
  const enforcer = make({ durability: 'full' }); // as the document's own are
  enforcer.removeEnvelope('llm');
  if (limit) enforcer.createEnvelope({ category: 'llm-inference', limit, period: 'daily' });
  return enforcer;
}

function model(actualCost) {
  return { complete: async (prompt) => ({ text: prompt, actualCost }) };
}

const prompt = 'Why is the sky blue? '.repeat(10);
const balance = (enforcer) => {
  const { spent, committed } = enforcer.utilization('llm-inference');
  return [spent, committed];
};

test('1: check, then record', { skip: reason }, async () => {
  const enforcer = setUp(1);
  const names = { enforcer, estimatedCost: 0.4, BudgetExceededError, llm: model(0.31), prompt };
  await run('prompt.slice(0, 80)', names);
  assert.deepEqual(balance(enforcer), [0.31, 0]);
  assert.equal([...enforcer.transactions()][0].description, prompt.slice(0, 80));
  await assert.rejects(run('prompt.slice(0, 80)', { ...names, estimatedCost: 0.7 }),
    (error) => error instanceof BudgetExceededError && error.result.available === 0.69);
});

test('2: commit, release, record', { skip: reason }, async () => {
  const enforcer = setUp(1);
  const names = { enforcer, estimatedCost: 0.4, BudgetExceededError, llm: model(0.31), prompt };
  await run('Phase 1', names);
  assert.deepEqual(balance(enforcer), [0.31, 0]);
  const llm = {
    complete: async () => {
      assert.deepEqual(balance(enforcer), [0.31, 0.4]);
      throw new Error('overloaded');
    },
  };
  await assert.rejects(run('Phase 1', { ...names, llm }), /overloaded/);
  assert.deepEqual(balance(enforcer), [0.31, 0]);
  await assert.rejects(run('Phase 1', { ...names, estimatedCost: 1 }), BudgetExceededError);
});

test('3: graceful degradation', { skip: reason }, async () => {
  const enforcer = setUp(0.45);
  const names = {
    enforcer, prompt, gpt4o: { complete: async () => 'large' },
    gpt4oMini: { complete: async () => 'small' }, getCachedFallback: () => 'cached',
  };
  const answers = [];
  for (let i = 0; i < 4; i++) answers.push(await run('fullModelCost', names));
  assert.deepEqual(answers, ['large', 'small', 'small', 'cached']);
  assert.deepEqual(balance(enforcer), [0.44, 0]);
});

test('4: sub-budgets of tasks', { skip: reason }, async () => {
  const enforcer = setUp(1);
  process.env.BUDGET_ENFORCER_DIR = enforcer.place;
  const task = await run('createTaskEnforcer', { BudgetEnforcer }, 'taskEnforcer');
  delete process.env.BUDGET_ENFORCER_DIR;
  assert.equal(task.namespace, 'task-abc123');
  task.record('llm-inference', 0.25);
  assert.equal(task.check('llm-inference', 0.01).permitted, false);
  assert.deepEqual(balance(enforcer), [0, 0]);
});

test('5: an observability hook', { skip: reason }, async () => {
  const seen = [];
  const metrics = {
    increment: (name, labels) => seen.push([name, labels]),
    gauge: (name, value, labels) => seen.push([name, value, labels]),
  };
  const Instrumented = await run('InstrumentedEnforcer', { BudgetEnforcer, metrics },
    'InstrumentedEnforcer');
  const enforcer = new Instrumented({ path: setUp(1).place });
  enforcer.check('llm-inference', 2);
  assert.equal(enforcer.record('llm-inference', 0.1).amount, 0.1);
  assert.deepEqual(seen, [
    ['budget.check', { category: 'llm-inference', permitted: 'false', reason: 'exceeds_budget' }],
    ['budget.spent', 0.1, { category: 'llm-inference' }],
  ]);
});

// An asynchronous storage cannot keep the promises: it is refused with the reason, and by the
// compiler (check-types). storage.test.js has one that works.
test('6: a storage that answers with promises is refused', { skip: reason }, async () => {
  const redis = { get: async () => null, set: async () => undefined };
  await assert.rejects(run('RedisStorage', { BudgetEnforcer, redis }),
    { name: 'TypeError', message: /synchronous/ });
});

test('7: no envelope', { skip: reason }, async () => {
  const enforcer = setUp(1);
  const checkWithFallback = await run('checkWithFallback', { BudgetEnforcer }, 'checkWithFallback');
  assert.equal(checkWithFallback(enforcer, 'llm-inference', 1).permitted, true);
  assert.throws(() => checkWithFallback(enforcer, 'unknown', 1), /"unknown"/);
});

test('8: total and rolling periods', () => {
  const enforcer = setUp();
  const total = enforcer.createEnvelope({ category: 'total', limit: 1, period: 'total' });
  const hour = enforcer.createEnvelope({ category: 'hour', limit: 1, period: 'hourly',
    startsAt: new Date(3_600_000) });
  assert.equal(total.periodEnd, undefined);
  assert.equal(hour.periodEnd - hour.periodStart, 3_600_000);
  assert.equal(Number(hour.periodStart) % 3_600_000, 0);
});

test('every block of the document was run', { skip: reason }, () => {
  const marks = ['prompt.slice(0, 80)', 'Phase 1', 'fullModelCost', 'createTaskEnforcer',
    'InstrumentedEnforcer', 'RedisStorage', 'checkWithFallback'];
  assert.deepEqual(readBlocks().filter((one) => !marks.some((mark) => one.includes(mark))), []);
  assert.ok(path.isAbsolute(FILE));
});
