# SPDX-License-Identifier: Apache-2.0
"""A callback for LangChain: model.invoke(text, config={"callbacks": [Meter(budget, "llm", ...)]}).
A refusal is raised before the call, as raise_error asks LangChain to."""
try:
    from langchain_core.callbacks import BaseCallbackHandler
except ImportError:  # so that it can be tried without
    BaseCallbackHandler = object

from budget_enforcer.spending import cost_of


class Meter(BaseCallbackHandler):
    raise_error = True
    run_inline = True

    def __init__(self, budget, category, *, estimate, price, ttl_ms=600_000):
        self.budget, self.category, self.estimate = budget, category, estimate
        self.price, self.ttl_ms, self.commits = price, ttl_ms, {}

    def on_llm_start(self, serialized, prompts, *, run_id, **_):
        self.commits[run_id] = self.budget.commit(self.category, self.estimate, on_death="charge",
                                                  ttl_ms=self.ttl_ms)

    on_chat_model_start = on_llm_start

    def on_llm_end(self, response, *, run_id, **_):
        message = getattr(response.generations[0][0], "message", None)
        cost = cost_of(getattr(message, "usage_metadata", None), self.price)
        self.budget.settle(self.commits.pop(run_id), self.estimate if cost is None else cost)

    def on_llm_error(self, error, *, run_id, **_):
        commit = self.commits.pop(run_id)
        if isinstance(getattr(error, "status_code", None), int):
            self.budget.release(commit)  # the provider answered that it would not
        else:
            self.budget.settle(commit, self.estimate, "cost unknown")
