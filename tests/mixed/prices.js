// SPDX-License-Identifier: Apache-2.0
'use strict';
// prices.js PRICES LOG: what the calls of the log cost in all, in nanos.
const fs = require('node:fs');
const path = require('node:path');
const { costOf, prices } = require(path.join(process.env.BUDGET_ENFORCER_PACKAGE, 'spend.js'));

const table = prices(process.argv[2]);
const calls = fs.readFileSync(process.argv[3], 'utf8').trimEnd().split('\n')
  .map((line) => JSON.parse(line));
console.log(String(calls.reduce((sum, one) => sum + costOf(one.usage, table.of(one.model)), 0n)));
