// SPDX-License-Identifier: Apache-2.0
'use strict';
// Amounts as numbers, strings and bigints; names and ids.
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { BudgetEnforcer, MEMORY } = require('./support.js');

function make(amounts) {
  const budget = new BudgetEnforcer({ amounts }, MEMORY);
  budget.createEnvelope({ category: 'llm', limit: 9_000_000_000n * 1_000_000_000n });
  return budget;
}
const bigint = make('bigint'), string = make('string'), number = make('number');

test('a number is the nearest nano', () => {
  for (const [value, nanos] of [
    [0.1 + 0.2, 300000000n], [0.1 * 3, 300000000n], [1e-9, 1n], [4e-10, 0n], [6e-10, 1n],
    [8388607.999999999, 8388607999999999n], [1.005, 1005000000n], [0, 0n], [-0, 0n],
    [50_000_000, 50_000_000_000_000_000n],
  ]) assert.equal(bigint.check('llm', value).requested, nanos, String(value));
  let sum = 0;
  for (let i = 0; i < 1000; i++) sum += 0.001;
  assert.notEqual(sum, 1);
  assert.equal(bigint.check('llm', sum).requested, 1_000_000_000n);
});

test('two hundred thousand decimals below 2^23 survive the way in and out', () => {
  let seed = 1n;
  for (let i = 0; i < 200_000; i++) {
    seed = (seed * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    const nanos = (seed >> 1n) % (8_388_608n * 1_000_000_000n) >> BigInt(i % 50);
    const text = string.check('llm', nanos).requested;
    const back = number.check('llm', Number(text)).requested;
    for (const same of [Number(text), back, text]) {
      if (bigint.check('llm', same).requested !== nanos) assert.fail(`${nanos} ${text} ${back}`);
    }
  }
});

test('strings are exact or refused', () => {
  assert.equal(string.check('llm', '0.40').requested, '0.4');
  for (const [text, code] of [
    ['0.1234567891', 'TOO_PRECISE'], ['1e-3', 'EXPONENT'], ['', 'EMPTY'], [' 1', 'SPACE'],
    ['-1', 'NEGATIVE'], ['9223372036.854775808', 'TOO_LARGE'], ['0x10', 'NOT_A_NUMBER'],
    ['1'.repeat(100), 'TOO_PRECISE'], ['0'.repeat(100) + '1', 'TOO_PRECISE'],
    ['1\0', 'NOT_A_NUMBER'],
  ]) {
    assert.throws(() => string.check('llm', text), { code: `ERR_BUDGET_AMOUNT_${code}` }, text);
  }
});

test('what is no amount is refused', () => {
  for (const [value, code] of [
    [NaN, 'AMOUNT_NOT_A_NUMBER'], [Infinity, 'AMOUNT_TOO_LARGE'], [-1, 'AMOUNT_NEGATIVE'],
    [-1e-9, 'AMOUNT_NEGATIVE'], [1e10, 'AMOUNT_TOO_LARGE'], [-1n, 'AMOUNT_NEGATIVE'],
    [2n ** 63n, 'AMOUNT_TOO_LARGE'], [undefined, 'INVALID_ARGUMENT'], [null, 'INVALID_ARGUMENT'],
    [{}, 'INVALID_ARGUMENT'], [true, 'INVALID_ARGUMENT'],
  ]) {
    const expected = { code: `ERR_BUDGET_${code}` };
    assert.throws(() => number.check('llm', value), expected, String(value));
    assert.throws(() => number.record('llm', value), expected, String(value));
  }
});

test('names', () => {
  for (const [name, code] of [
    ['', 'INVALID_NAME'], ['a\0b', 'INVALID_NAME'], ['é'.repeat(64), 'INVALID_NAME'],
    [undefined, 'INVALID_ARGUMENT'], [1, 'INVALID_ARGUMENT'],
  ]) assert.throws(() => number.check(name, 1), { code: `ERR_BUDGET_${code}` }, name);
  // A lone surrogate becomes U+FFFD.
  assert.equal(number.check('\ud800', 1).reason, 'no_envelope');
  assert.throws(() => number.record('llm', 1, 'x'.repeat(513)),
    { code: 'ERR_BUDGET_INVALID_DESCRIPTION' });
});

test('ids', () => {
  const { commitId } = number.commit('llm', 1);
  assert.equal(typeof commitId, 'string');
  assert.equal(number.release(BigInt(commitId)), true);
  assert.equal(number.release(Number(commitId)), false);
  for (const id of ['x', '', '-1', '1'.repeat(25), 1.5, -1, 2 ** 53, null, undefined, {}]) {
    assert.throws(() => number.release(id), { code: 'ERR_BUDGET_INVALID_ARGUMENT' }, String(id));
  }
  assert.throws(() => number.release('12345'), { code: 'ERR_BUDGET_NO_COMMIT' });
});
