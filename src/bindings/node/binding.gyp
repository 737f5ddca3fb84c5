{
  "targets": [
    {
      "target_name": "budget_enforcer",
      "sources": [
        "native/addon.c",
        "native/calls.c",
        "native/events.c",
        "native/handle.c",
        "native/listings.c",
        "native/server.c",
        "native/settings.c",
        "native/storage.c",
        "native/threads.c",
        "native/upkeep.c",
        "native/values.c"
      ],
      "cflags": ["<!@(pkg-config --cflags budget-enforcer)", "-std=gnu17"],
      "libraries": ["<!@(pkg-config --libs budget-enforcer)", "-lm", "-ldl"],
      "ldflags": ["-Wl,-z,nodelete"]
    }
  ]
}
