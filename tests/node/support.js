// SPDX-License-Identifier: Apache-2.0
'use strict';
// What the tests of the Node.js package share.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const package_ = require(process.env.BUDGET_ENFORCER_PACKAGE);
const { BudgetEnforcer } = package_;

const directories = [];
process.on('exit', () => {
  for (const one of directories) fs.rmSync(one, { recursive: true, force: true });
});

/** A directory that is removed when the test's process ends. */
function makeDirectory() {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'budget-enforcer-'));
  directories.push(directory);
  return directory;
}

/** A handle on a new environment with the envelope "llm", of 50 in total. */
function make(options = {}) {
  const budget = open(path.join(makeDirectory(), 'environment'), options);
  budget.createEnvelope({ category: 'llm', limit: 50 });
  return budget;
}

function open(place, options = {}) {
  const budget = new BudgetEnforcer({ path: place, durability: 'process', ...options });
  budget.place = place;
  return budget;
}

/** Spends tenths until nothing is left; how many. */
function race(budget) {
  for (let granted = 0; ; granted++) {
    const { permitted, commitId } = budget.commit('llm', 0.1);
    if (!permitted) return granted;
    budget.settle(commitId, 0.1);
  }
}

/** It is to become true; not at once, but long before a test would be given up. */
async function waitUntil(condition) {
  for (let tries = 0; tries < 6000; tries++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('it did not become true within a minute');
}

/** Before the thread begins that is to look at it, so that no race decides what it has done. */
function abortedWhenListenedTo() {
  const controller = new AbortController();
  const { signal } = controller;
  const listen = signal.addEventListener;
  signal.addEventListener = (...rest) => {
    listen.apply(signal, rest);
    controller.abort();
  };
  return signal;
}

module.exports = { ...package_, abortedWhenListenedTo, make, makeDirectory, open, race, waitUntil };
