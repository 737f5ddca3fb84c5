{
  "targets": [
    {
      "target_name": "budget_enforcer",
      "sources": [
        "native/addon.c",
        "native/calls.c",
        "native/envelopes.c",
        "native/handle.c",
        "native/storage.c",
        "native/threads.c",
        "native/values.c"
      ],
      "cflags": ["<!@(pkg-config --cflags budget-enforcer)", "-std=gnu17"],
      "libraries": ["<!@(pkg-config --libs budget-enforcer)", "-lm"],
      "ldflags": ["-Wl,-z,nodelete"]
    }
  ]
}
