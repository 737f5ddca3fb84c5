// SPDX-License-Identifier: Apache-2.0
'use strict';
// Middleware for the AI SDK: every call of a model is reserved before and settled after.
//
//   const model = wrapLanguageModel({ model: openai('gpt-5'), middleware: metered(budget, 'llm',
//     { estimate: 0.40, price: { input: '1.25', cacheRead: '0.125', output: '10' } }) });
const { spend } = require('budget-enforcer/spend');

/** `options` are those of spend(), or a function of the call's parameters that returns them. */
function metered(budget, category, options) {
  const read = (params) => (typeof options === 'function' ? options(params) : options);
  return {
    specificationVersion: 'v3',
    wrapGenerate: ({ doGenerate, params }) => spend(budget, category, read(params), doGenerate),
    wrapStream: async ({ doStream, params }) => {
      let rest;
      const chunks = await spend(budget, category, read(params), async () => {
        const { stream, ...others } = await doStream();
        rest = others;
        return stream;
      });
      return { ...rest, stream: ReadableStream.from(chunks) };
    },
  };
}

exports.metered = metered;
