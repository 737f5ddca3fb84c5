/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where everything lies in the public structures of 64-bit machines, for the compiler to compare,
 * in C and in C++. A line is never changed once its member was released: what comes later has its
 * lines at the end of its structure, and begins where the size was. The size itself grows.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

/* Padding would have no name, and nobody knows what lies in it. */
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"
#include <budget_enforcer_storage.h>
#pragma GCC diagnostic pop

#include <assert.h>

#define SIZE(name, bytes) static_assert(sizeof(struct name) == (bytes), "its size has changed")
#define AT(name, member, byte)                                                                     \
	static_assert(offsetof(struct name, member) == (byte), "it lies elsewhere")
#define ENUM(name) static_assert(sizeof(enum name) == 4, "its size has changed")

ENUM(be_status);
ENUM(be_period);
ENUM(be_setting);
ENUM(be_commit_state);
ENUM(be_reap_policy);
ENUM(be_transaction_kind);
ENUM(be_operation);
ENUM(be_durability);
ENUM(be_open_flags);

static_assert(sizeof(bool) == 1, "bool has one byte in all structures");

#if UINTPTR_MAX == UINT64_MAX

SIZE(be_envelope, 840);
AT(be_envelope, size, 0);
AT(be_envelope, period, 4);
AT(be_envelope, id, 8);
AT(be_envelope, limit, 16);
AT(be_envelope, spent, 24);
AT(be_envelope, committed, 32);
AT(be_envelope, available, 40);
AT(be_envelope, utilization_ppm, 48);
AT(be_envelope, period_start_ns, 56);
AT(be_envelope, period_end_ns, 64);
AT(be_envelope, created_ns, 72);
AT(be_envelope, pending_commits, 80);
AT(be_envelope, children, 88);
AT(be_envelope, commits_granted, 96);
AT(be_envelope, refused_exceeds_budget, 104);
AT(be_envelope, refused_suspended, 112);
AT(be_envelope, expired_released, 120);
AT(be_envelope, expired_charged, 128);
AT(be_envelope, orphaned_released, 136);
AT(be_envelope, orphaned_charged, 144);
AT(be_envelope, settled_late, 152);
AT(be_envelope, suspended, 160);
AT(be_envelope, has_parent, 161);
AT(be_envelope, reserved, 162);
AT(be_envelope, namespace_name, 168);
AT(be_envelope, category, 296);
AT(be_envelope, parent_namespace, 424);
AT(be_envelope, parent_category, 552);
AT(be_envelope, limit_now, 680);
AT(be_envelope, raise, 688);
AT(be_envelope, raise_until_ns, 696);
AT(be_envelope, roll_over, 704);
AT(be_envelope, carried, 712);
AT(be_envelope, charged, 720);
AT(be_envelope, excused, 728);
AT(be_envelope, begins_on, 736);
AT(be_envelope, observe_only, 740);
AT(be_envelope, reserved_too, 741);
AT(be_envelope, zone, 744);
AT(be_envelope, thresholds, 808);
AT(be_envelope, passed, 824);
AT(be_envelope, reserved_three, 828);
AT(be_envelope, given_back, 832);

SIZE(be_cost, 16);
AT(be_cost, low, 0);
AT(be_cost, high, 8);

SIZE(be_decision, 328);
AT(be_decision, size, 0);
AT(be_decision, status, 4);
AT(be_decision, requested, 8);
AT(be_decision, available, 16);
AT(be_decision, limit, 24);
AT(be_decision, spent, 32);
AT(be_decision, committed, 40);
AT(be_decision, namespace_name, 48);
AT(be_decision, category, 176);
AT(be_decision, asked, 304);
AT(be_decision, granted, 312);
AT(be_decision, window_end_ns, 320);

SIZE(be_commit_info, 864);
AT(be_commit_info, size, 0);
AT(be_commit_info, state, 4);
AT(be_commit_info, reap_policy, 8);
AT(be_commit_info, owner_pid, 12);
AT(be_commit_info, id, 16);
AT(be_commit_info, owner_id, 24);
AT(be_commit_info, amount, 32);
AT(be_commit_info, created_ns, 40);
AT(be_commit_info, deadline_ns, 48);
AT(be_commit_info, detached, 56);
AT(be_commit_info, owner_alive, 57);
AT(be_commit_info, namespace_name, 58);
AT(be_commit_info, category, 186);
AT(be_commit_info, description, 314);
AT(be_commit_info, reserved, 827);
AT(be_commit_info, also, 832);
AT(be_commit_info, also_count, 840);
AT(be_commit_info, reserved_too, 844);
AT(be_commit_info, labels, 848);
AT(be_commit_info, label_count, 856);
AT(be_commit_info, reserved_three, 860);

SIZE(be_transaction, 872);
AT(be_transaction, size, 0);
AT(be_transaction, kind, 4);
AT(be_transaction, id, 8);
AT(be_transaction, commit_id, 16);
AT(be_transaction, amount, 24);
AT(be_transaction, held, 32);
AT(be_transaction, at_ns, 40);
AT(be_transaction, late, 48);
AT(be_transaction, namespace_name, 49);
AT(be_transaction, category, 177);
AT(be_transaction, description, 305);
AT(be_transaction, reserved, 818);
AT(be_transaction, corrects, 824);
AT(be_transaction, also, 832);
AT(be_transaction, also_count, 840);
AT(be_transaction, reserved_too, 844);
AT(be_transaction, envelope_id, 848);
AT(be_transaction, labels, 856);
AT(be_transaction, label_count, 864);
AT(be_transaction, reserved_three, 868);

SIZE(be_alert, 592);
AT(be_alert, size, 0);
AT(be_alert, percent, 4);
AT(be_alert, id, 8);
AT(be_alert, envelope_id, 16);
AT(be_alert, transaction_id, 24);
AT(be_alert, limit, 32);
AT(be_alert, spent, 40);
AT(be_alert, at_ns, 48);
AT(be_alert, period_start_ns, 56);
AT(be_alert, period_end_ns, 64);
AT(be_alert, done_ns, 72);
AT(be_alert, namespace_name, 80);
AT(be_alert, category, 208);
AT(be_alert, spender_namespace, 336);
AT(be_alert, spender_category, 464);

SIZE(be_event, 80);
AT(be_event, size, 0);
AT(be_event, operation, 4);
AT(be_event, status, 8);
AT(be_event, repeated, 12);
AT(be_event, reserved, 13);
AT(be_event, commit_id, 16);
AT(be_event, transaction_id, 24);
AT(be_event, amount, 32);
AT(be_event, at_ns, 40);
AT(be_event, namespace_name, 48);
AT(be_event, category, 56);
AT(be_event, envelope, 64);
AT(be_event, alert, 72);

SIZE(be_options, 88);
AT(be_options, size, 0);
AT(be_options, flags, 4);
AT(be_options, namespace_name, 8);
AT(be_options, durability, 16);
AT(be_options, mode, 20);
AT(be_options, map_size, 24);
AT(be_options, now, 32);
AT(be_options, now_context, 40);
AT(be_options, observe, 48);
AT(be_options, observe_context, 56);
AT(be_options, storage, 64);
AT(be_options, lease_ms, 72);
AT(be_options, check_age_ms, 80);

SIZE(be_label, 16);
AT(be_label, key, 0);
AT(be_label, value, 8);

SIZE(be_envelope_name, 16);
AT(be_envelope_name, namespace_name, 0);
AT(be_envelope_name, category, 8);

SIZE(be_commit_options, 112);
AT(be_commit_options, size, 0);
AT(be_commit_options, reap_policy, 4);
AT(be_commit_options, ttl_ms, 8);
AT(be_commit_options, detached, 16);
AT(be_commit_options, reserved, 17);
AT(be_commit_options, least, 24);
AT(be_commit_options, key, 32);
AT(be_commit_options, key_ms, 40);
AT(be_commit_options, wait_ms, 48);
AT(be_commit_options, keep_waiting, 56);
AT(be_commit_options, wait_context, 64);
AT(be_commit_options, also, 72);
AT(be_commit_options, also_count, 80);
AT(be_commit_options, reserved_too, 84);
AT(be_commit_options, labels, 88);
AT(be_commit_options, label_count, 96);
AT(be_commit_options, reserved_three, 100);
AT(be_commit_options, namespace_name, 104);

SIZE(be_charge_options, 64);
AT(be_charge_options, size, 0);
AT(be_charge_options, reserved, 4);
AT(be_charge_options, key, 8);
AT(be_charge_options, key_ms, 16);
AT(be_charge_options, also, 24);
AT(be_charge_options, also_count, 32);
AT(be_charge_options, reserved_too, 36);
AT(be_charge_options, labels, 40);
AT(be_charge_options, label_count, 48);
AT(be_charge_options, reserved_three, 52);
AT(be_charge_options, namespace_name, 56);

SIZE(be_envelope_options, 56);
AT(be_envelope_options, size, 0);
AT(be_envelope_options, suspended, 4);
AT(be_envelope_options, reserved, 5);
AT(be_envelope_options, parent_namespace, 8);
AT(be_envelope_options, parent_category, 16);
AT(be_envelope_options, period_start_ns, 24);
AT(be_envelope_options, zone, 32);
AT(be_envelope_options, begins_on, 40);
AT(be_envelope_options, observe_only, 44);
AT(be_envelope_options, reserved_too, 45);
AT(be_envelope_options, roll_over, 48);

SIZE(be_settings, 112);
AT(be_settings, size, 0);
AT(be_settings, mask, 4);
AT(be_settings, limit, 8);
AT(be_settings, period, 16);
AT(be_settings, begins_on, 20);
AT(be_settings, zone, 24);
AT(be_settings, raise, 32);
AT(be_settings, raise_until_ns, 40);
AT(be_settings, roll_over, 48);
AT(be_settings, suspended, 56);
AT(be_settings, observe_only, 57);
AT(be_settings, reserved, 58);
AT(be_settings, thresholds, 64);
AT(be_settings, new_namespace, 80);
AT(be_settings, new_category, 88);
AT(be_settings, parent_namespace, 96);
AT(be_settings, parent_category, 104);

SIZE(be_envelope_change, 56);
AT(be_envelope_change, size, 0);
AT(be_envelope_change, operation, 4);
AT(be_envelope_change, namespace_name, 8);
AT(be_envelope_change, category, 16);
AT(be_envelope_change, limit, 24);
AT(be_envelope_change, period, 32);
AT(be_envelope_change, reserved, 36);
AT(be_envelope_change, options, 40);
AT(be_envelope_change, settings, 48);

SIZE(be_filter, 104);
AT(be_filter, size, 0);
AT(be_filter, reserved, 4);
AT(be_filter, namespace_name, 8);
AT(be_filter, category, 16);
AT(be_filter, since_ns, 24);
AT(be_filter, until_ns, 32);
AT(be_filter, min_amount, 40);
AT(be_filter, max_amount, 48);
AT(be_filter, after_id, 56);
AT(be_filter, max_count, 64);
AT(be_filter, after_namespace, 72);
AT(be_filter, after_category, 80);
AT(be_filter, labels, 88);
AT(be_filter, label_count, 96);
AT(be_filter, reserved_too, 100);

SIZE(be_owner_info, 32);
AT(be_owner_info, size, 0);
AT(be_owner_info, pid, 4);
AT(be_owner_info, pid_namespace, 8);
AT(be_owner_info, pid_here, 12);
AT(be_owner_info, id, 16);
AT(be_owner_info, alive, 24);
AT(be_owner_info, reserved, 25);

SIZE(be_statistics, 224);
AT(be_statistics, size, 0);
AT(be_statistics, format_version, 4);
AT(be_statistics, durability, 8);
AT(be_statistics, owners, 12);
AT(be_statistics, created_ns, 16);
AT(be_statistics, changes, 24);
AT(be_statistics, next_envelope_id, 32);
AT(be_statistics, next_commit_id, 40);
AT(be_statistics, next_transaction_id, 48);
AT(be_statistics, expired_released, 56);
AT(be_statistics, expired_charged, 64);
AT(be_statistics, orphaned_released, 72);
AT(be_statistics, orphaned_charged, 80);
AT(be_statistics, settled_late, 88);
AT(be_statistics, file_size, 96);
AT(be_statistics, map_size, 104);
AT(be_statistics, page_size, 112);
AT(be_statistics, pages, 120);
AT(be_statistics, free_pages, 128);
AT(be_statistics, records, 136);
AT(be_statistics, readers, 144);
AT(be_statistics, readers_max, 152);
AT(be_statistics, stale_readers, 160);
AT(be_statistics, reader_lag, 168);
AT(be_statistics, refused_no_envelope, 176);
AT(be_statistics, lagging_pid, 184);
AT(be_statistics, refusals_known, 188);
AT(be_statistics, went_back, 189);
AT(be_statistics, reads_exclude_writes, 190);
AT(be_statistics, reserved, 191);
AT(be_statistics, waiting, 192);
AT(be_statistics, reserved_too, 196);
AT(be_statistics, pruned_id, 200);
AT(be_statistics, history_changes, 208);
AT(be_statistics, losses, 216);

SIZE(be_verification, 40);
AT(be_verification, size, 0);
AT(be_verification, reserved, 4);
AT(be_verification, envelopes, 8);
AT(be_verification, commits, 16);
AT(be_verification, transactions, 24);
AT(be_verification, differences, 32);

SIZE(be_pruning, 40);
AT(be_pruning, size, 0);
AT(be_pruning, reserved, 4);
AT(be_pruning, transactions, 8);
AT(be_pruning, commits, 16);
AT(be_pruning, alerts, 24);
AT(be_pruning, daily_sums, 32);

SIZE(be_prune_options, 48);
AT(be_prune_options, size, 0);
AT(be_prune_options, dry_run, 4);
AT(be_prune_options, reserved, 5);
AT(be_prune_options, before_ns, 8);
AT(be_prune_options, below_id, 16);
AT(be_prune_options, sums_before_ns, 24);
AT(be_prune_options, progress, 32);
AT(be_prune_options, context, 40);

SIZE(be_daily_sum, 328);
AT(be_daily_sum, size, 0);
AT(be_daily_sum, kind, 4);
AT(be_daily_sum, day_ns, 8);
AT(be_daily_sum, amount, 16);
AT(be_daily_sum, count, 24);
AT(be_daily_sum, first_ns, 32);
AT(be_daily_sum, last_ns, 40);
AT(be_daily_sum, namespace_name, 48);
AT(be_daily_sum, category, 176);
AT(be_daily_sum, also, 304);
AT(be_daily_sum, also_count, 312);
AT(be_daily_sum, reserved, 316);
AT(be_daily_sum, envelope_id, 320);

SIZE(be_bytes, 16);
AT(be_bytes, data, 0);
AT(be_bytes, size, 8);

SIZE(be_storage_ops, 104);
AT(be_storage_ops, size, 0);
AT(be_storage_ops, reserved, 4);
AT(be_storage_ops, begin, 8);
AT(be_storage_ops, commit, 16);
AT(be_storage_ops, abort, 24);
AT(be_storage_ops, get, 32);
AT(be_storage_ops, put, 40);
AT(be_storage_ops, del, 48);
AT(be_storage_ops, next, 56);
AT(be_storage_ops, prefetch, 64);
AT(be_storage_ops, now, 72);
AT(be_storage_ops, traits, 80);
AT(be_storage_ops, where, 88);
AT(be_storage_ops, history, 96);

SIZE(be_storage, 16);
AT(be_storage, ops, 0);
AT(be_storage, self, 8);

#endif

#endif
