// SPDX-License-Identifier: Apache-2.0
'use strict';
// Storages that are written in JavaScript.
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { BudgetEnforcer, race } = require('./support.js');

/** An ordered map, copied when it is written to, so that abort is easy. */
class MapStorage {
  records = []; // [key, value], in order
  #draft;

  begin(write) {
    this.#draft = write ? [...this.records] : this.records;
  }
  commit() {
    this.records = this.#draft;
  }
  abort() {
    this.#draft = undefined;
  }
  #place(key) {
    let low = 0, high = this.#draft.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (Buffer.compare(this.#draft[middle][0], key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  #at(key) {
    const place = this.#place(key);
    return this.#draft[place]?.[0].equals(key) ? place : -1;
  }
  get(key) {
    const at = this.#at(key);
    return at < 0 ? undefined : this.#draft[at][1];
  }
  put(key, value) {
    const at = this.#at(key);
    if (at < 0) this.#draft.splice(this.#place(key), 0, [key, value]);
    else this.#draft[at] = [key, value];
  }
  del(key) {
    const at = this.#at(key);
    if (at >= 0) this.#draft.splice(at, 1);
    return at >= 0;
  }
  next(from) {
    return this.#draft[this.#place(from)];
  }
}

test('a storage in JavaScript works, and lives on', () => {
  const storage = new MapStorage();
  const budget = new BudgetEnforcer({}, storage);
  budget.createEnvelope({ category: 'llm', limit: 1 });
  assert.equal(race(budget), 10);
  assert.equal([...budget.transactions({ pageSize: 4 })].length, 10);
  assert.deepEqual(budget.verify(), []);
  budget.close();
  assert.equal(new BudgetEnforcer({}, storage).utilization('llm').spent, 1);
});

test('what it throws comes out, and nothing has changed', () => {
  const storage = new MapStorage(), budget = new BudgetEnforcer({}, storage);
  budget.createEnvelope({ category: 'llm', limit: 1 });
  storage.put = () => {
    throw new RangeError('the disk is full');
  };
  assert.throws(() => budget.commit('llm', 0.4), /^RangeError: the disk is full$/);
  delete storage.put;
  assert.equal(budget.utilization('llm').committed, 0);
  storage.get = async () => undefined; // a promise is no value
  assert.throws(() => budget.commit('llm', 0.4), { code: 'ERR_BUDGET_STORAGE_FAILED' });
});

test('another namespace of one, which throws, too', () => {
  const storage = new MapStorage(), first = new BudgetEnforcer({}, storage);
  const budget = first.openNamespace('task');
  first.close();
  budget.createEnvelope({ category: 'llm', limit: 1 });
  storage.put = () => {
    throw new RangeError('the disk is full');
  };
  assert.throws(() => budget.commit('llm', 0.4), /^RangeError: the disk is full$/);
  delete storage.put;
  assert.equal(budget.commit('llm', 0.4).permitted, true);
  storage.begin = () => {
    throw new RangeError('the disk is gone');
  };
  assert.throws(() => budget.openNamespace('late'), /the disk is gone/);
});

test('what it throws at the closing of one handle comes out of no call of another', () => {
  const storage = new MapStorage(), first = new BudgetEnforcer({ owning: true }, storage);
  first.createEnvelope({ category: 'llm', limit: 1 });
  const budget = first.openNamespace('');
  first.commit('llm', 0.4);
  let thrown = 0;
  storage.begin = () => {
    thrown++;
    throw new RangeError('the disk is gone');
  };
  first.close();
  delete storage.begin;
  assert.ok(thrown > 0);
  assert.equal(budget.check('llm', 2).reason, 'exceeds_budget');
});

test('what it throws when the money is charged breaks no call', () => {
  const storage = new MapStorage(), budget = new BudgetEnforcer({}, storage);
  budget.createEnvelope({ category: 'llm', limit: 10 });
  const { commitId } = budget.commit('llm', 1, undefined, { labels: { a: '1' } });
  let reads = 0;
  storage.commit = function () {
    MapStorage.prototype.commit.call(this);
    this.begin = () => { // the labels are to be read back
      reads++;
      throw new RangeError('the disk is gone');
    };
  };
  const settled = budget.settle(commitId, 1);
  assert.deepEqual([settled.amount, reads], [1, 1]);
  for (const name of ['labels', 'also']) {
    assert.throws(() => settled[name], { code: 'ERR_BUDGET_STORAGE_FAILED', message: /charged/ });
  }
  assert.equal(JSON.parse(JSON.stringify({ ...settled })).amount, 1);
  assert.throws(() => budget.utilization('llm'), /the disk is gone/);
  delete storage.begin;
  const again = budget.record('llm', 2, undefined, { labels: { a: '1' } });
  assert.deepEqual([again.amount, reads], [2, 3]);
  assert.throws(() => again.labels, { code: 'ERR_BUDGET_STORAGE_FAILED' });
  delete storage.begin;
  delete storage.commit;
  assert.equal(budget.utilization('llm').spent, 3);
});

test('an asynchronous one is refused with the reason', () => {
  class Asynchronous {
    async getEnvelope() {}
    async saveEnvelope() {}
  }
  assert.throws(() => new BudgetEnforcer({}, new Asynchronous()),
    { name: 'TypeError', message: /synchronous.*others spend between/ });
});

test('calls on threads do not reach it', async () => {
  const budget = new BudgetEnforcer({}, new MapStorage());
  await assert.rejects(budget.commitAsync('llm', 1), { code: 'ERR_BUDGET_INVALID_ARGUMENT' });
});
