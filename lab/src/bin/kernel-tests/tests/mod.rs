//! The tests, one file for each promise of the agent; a test's function name is its sentence.

use anyhow::Result;

use crate::bench::Bench;

mod arming;
mod blocked_calls;
mod bounced;
mod census;
mod clients;
mod cloned_buffers;
mod continuity;
mod crowd;
mod doctor;
mod full_disk;
mod hardened;
mod held_pins;
mod hierarchies;
mod hooks;
mod huge_folios;
mod identities;
mod leak;
mod lockdown;
mod long_calls;
mod newer_btf;
mod nodes;
mod nothing_pinned;
mod owners;
mod programs;
mod reconciliation;
mod refusals;
mod reload;
mod ring;
mod rollbacks;
mod sampling;
mod sequences;
mod service;
mod spoiled;
mod starting;
mod storm;
mod suspend;
mod swapped;
mod switches;
mod users;
mod workloads;

/// What a test does.
type Run = Box<dyn Fn(&Bench) -> Result<()>>;

/// One test.
pub(crate) struct Test {
    /// The name of its function.
    pub(crate) name: &'static str,
    /// Runs it.
    pub(crate) run: Run,
    /// The way to attach has no bearing on it.
    pub(crate) either_way: bool,
}

/// Tests that need the same kind of guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Set {
    /// Any guest does.
    Usual,
    /// Debian's programs are there, and the kernel has the drivers that clouds do without.
    Programs,
    /// Several GiB of memory, a part of it movable, and a pool of huge pages.
    Large,
    /// Any guest does, for minutes.
    Long,
    /// A machine as servers are: two nodes, huge pages of 1 GiB, and no vmemmap for huge pages.
    Servers,
    /// A machine with one CPU.
    Single,
}

/// All tests of a set, in the order in which they run: those that share an agent side by side.
pub(crate) fn all(set: Set) -> Vec<Test> {
    match set {
        Set::Usual => {
            let mut tests = first();
            tests.extend(workloads::usual());
            tests.extend(then());
            tests
        }
        Set::Programs => workloads::of_drivers()
            .chain(programs::tests())
            .chain([test(
                bounced::direct_io_to_a_disk_that_checks_pins_what_the_kernel_does_not_copy,
            )])
            .collect(),
        Set::Large => large(),
        Set::Long => long(),
        Set::Servers => servers(),
        Set::Single => single(),
    }
}

fn first() -> Vec<Test> {
    vec![
        // Its agent is the first one, which the others share.
        test(held_pins::pins_from_before_the_start_leave_verdicts_uncertain_until_they_are_gone),
        test(hooks::every_family_of_hooks_is_attached),
        test(hooks::the_self_test_finds_the_hook_that_sees_nothing_and_its_metrics_are_withheld),
        // Before folios that others have pinned come into its hands.
        test(held_pins::a_private_mapping_misleads_two_walk_and_not_the_kernel),
        test(held_pins::held_pins_across_fsync_are_seen_by_kernel_and_two_walk),
        test(held_pins::held_pins_of_large_folios_are_seen_by_kernel_and_two_walk),
        test(held_pins::pins_for_reading_are_seen_like_pins_for_writing),
    ]
}

fn then() -> Vec<Test> {
    vec![
        test(
            nothing_pinned::nothing_pinned_means_no_pinned_verdict_and_a_ledger_that_stays_as_it_is,
        ),
        test(reconciliation::eight_threads_over_shared_folios_leave_no_page_outstanding),
        test(storm::a_storm_of_direct_reads_makes_nobody_a_suspect_and_leaves_nothing_pinned),
        test(sequences::after_any_order_of_pins_and_releases_each_owner_has_what_is_its_own),
        test(sequences::what_a_request_kept_is_released_rightly_or_told_as_a_guess),
        test(sequences::what_another_one_closes_is_released_rightly_or_told_as_a_guess),
        test(cloned_buffers::what_a_ring_took_over_is_released_rightly_or_told_as_a_guess),
        test(cloned_buffers::so_it_is_where_the_ring_took_it_over_before_the_agent_started),
        test(sequences::of_more_rings_than_the_ledger_tells_apart_each_process_has_its_own),
        test(blocked_calls::a_call_that_waits_for_a_page_is_told_with_its_owner_and_makes_no_difference),
        test(blocked_calls::calls_of_a_killed_process_are_forgotten_also_where_no_return_was_seen),
        test(identities::who_execs_renames_itself_or_loses_its_first_thread_is_alive_and_keeps_its_row),
        test(huge_folios::a_huge_page_that_five_rings_have_registered_counts_once_everywhere),
        test(crowd::twelve_hundred_sleeping_processes_with_the_pinned_pages_mapped_add_no_pin),
        test(crowd::plain_references_by_the_hundred_add_no_pin_and_take_none_away),
        test(clients::seventy_idle_connections_and_no_descriptors_left_keep_nobody_from_an_answer),
        test(clients::clients_that_ask_and_read_nothing_take_little_memory_and_are_let_go),
        test(rollbacks::pins_that_the_fast_path_gives_up_are_counted_as_rolled_back),
        test(huge_folios::fixed_buffers_on_huge_pages_take_one_entry_a_folio),
        test(owners::several_programs_at_once_add_up_whatever_the_report_is_by),
        test(owners::twenty_rings_of_a_process_over_the_same_buffers_are_that_process_s),
        test(owners::of_two_who_pin_the_same_file_pages_each_has_its_part_until_it_releases_it),
        test(swapped::shared_memory_in_the_swap_cache_is_met_by_no_walk_and_is_no_pin),
        test(spoiled::memory_that_small_pins_spoil_is_told_while_they_are_held),
        test(users::a_user_is_one_row_with_all_its_processes_also_those_in_a_user_namespace),
        test(leak::a_dead_owner_is_a_suspect_with_its_call_path_and_file_until_its_pins_are_gone),
        test(leak::pins_that_a_dead_process_s_heir_releases_slowly_are_told_as_released_and_no_leak),
        test(leak::a_killed_process_that_waits_for_a_disk_in_its_exit_is_exiting_and_no_suspect),
        test(leak::a_pid_that_comes_again_is_another_owner),
        either_way(long_calls::a_call_of_more_pages_than_a_program_walks_is_counted_whole),
        test(refusals::a_second_agent_is_refused_and_named_the_first),
        // Ends the agent that those before have shared.
        test(service::sigint_ends_it_cleanly),
        test(arming::writeback_hooks_are_attached_while_pages_of_a_file_are_pinned),
        test(reload::a_hangup_changes_hooks_and_suspects_at_once_or_nothing_at_all),
        test(identities::an_owner_that_proc_hides_is_never_said_to_have_ended),
        test(blocked_calls::pins_on_the_zero_page_are_in_no_total_of_a_service),
        test(storm::an_agent_that_starts_in_a_storm_accounts_for_every_pin),
        test(sampling::eight_thousand_pages_in_a_ledger_of_1024_slots_are_estimated_and_exact_again_after),
        // Finds its ledger empty, and leaves it so.
        test(sampling::more_folios_than_the_ledger_holds_are_estimated_and_exact_again_after),
        test(ring::a_4_kib_ring_under_load_delivers_or_counts_every_sample),
        test(ring::samples_for_a_stopped_agent_are_counted_as_lost),
        // And this one the next.
        test(service::sigterm_ends_it_cleanly_and_the_service_manager_hears_ready_and_stopping),
        either_way(census::what_was_pinned_before_is_counted_to_the_page_and_named),
        either_way(census::twelve_hundred_sleeping_processes_add_nothing_to_the_census),
        either_way(census::memory_that_its_process_has_left_pinned_is_told_as_mapped_by_nobody),
        test(continuity::what_was_pinned_before_the_start_is_in_the_ledger_after_a_census),
        either_way(census::a_census_under_load_ends_and_agrees_with_the_kernel_at_rest),
        either_way(census::a_census_names_what_it_lacks_and_the_way_out),
        either_way(hooks::a_disk_that_does_not_answer_leaves_its_hooks_untested_and_the_agent_running),
        either_way(refusals::without_privileges_it_names_what_is_missing_and_the_way_out),
        either_way(refusals::kprobes_that_a_setting_keeps_from_a_service_are_told_with_the_setting),
        either_way(refusals::kprobes_that_are_switched_off_are_told_with_the_switch),
        either_way(refusals::a_hook_on_the_blacklist_of_kprobes_is_told_with_the_list),
        either_way(refusals::maps_without_room_are_told_with_the_limit_that_they_are_charged_to),
        test(switches::function_tracing_switched_off_is_refused_before_anything_is_attached),
        test(switches::function_tracing_switched_off_under_it_is_told_and_survives_its_end),
        either_way(switches::kprobes_switched_off_under_it_are_told),
        either_way(switches::a_kernel_that_interprets_bpf_is_refused_with_the_switch),
        either_way(switches::a_limit_on_open_files_is_raised_or_named),
        either_way(refusals::a_kernel_without_btf_is_named),
        either_way(refusals::a_list_of_functions_that_cannot_be_read_is_named_where_it_is_needed),
        either_way(
            refusals::a_recording_that_cannot_be_written_is_told_before_anything_is_attached,
        ),
        test(full_disk::a_recording_without_room_ends_by_name_with_what_was_seen),
        either_way(full_disk::what_cannot_be_printed_is_an_error),
        test(starting::told_to_end_while_it_starts_it_ends_without_having_started),
        either_way(starting::a_recording_to_a_pipe_that_nobody_reads_waits_and_can_be_ended),
        either_way(refusals::a_busy_port_is_one_clear_line),
        either_way(refusals::bad_arguments_are_refused_by_name),
        test(doctor::the_doctor_tells_root_whether_the_agent_can_run),
        either_way(doctor::the_doctor_tells_nobody_what_is_missing),
        test(doctor::the_doctor_tells_a_service_what_settings_keep_from_it),
        test(doctor::trampolines_that_may_hang_in_a_pid_namespace_are_not_used_there),
        either_way(doctor::the_doctor_tells_that_tracefs_is_not_mounted),
        either_way(doctor::the_doctor_tells_that_the_list_of_functions_cannot_be_read),
        test(hardened::where_addresses_are_hidden_from_everybody_call_paths_have_their_names),
        test(newer_btf::btf_with_kinds_and_a_header_that_nobody_knows_is_read_all_the_same),
        // Takes the controller of memory away from the unified hierarchy.
        either_way(hierarchies::a_cgroup_of_version_1_has_its_own_name_and_no_other_ones),
        test(lockdown::a_kernel_locked_down_for_integrity_is_traced_without_tracefs_until_the_time_limit),
        either_way(lockdown::a_kernel_locked_down_for_confidentiality_is_refused_by_that_name),
    ]
}

fn servers() -> Vec<Test> {
    vec![
        test(nodes::what_is_pinned_is_told_by_node_as_the_kernel_counts_it),
        test(huge_folios::a_huge_page_of_1_gib_is_one_folio_in_ledger_and_census),
        test(huge_folios::fixed_buffers_on_huge_pages_without_their_vmemmap_take_one_entry_a_folio),
        test(census::what_was_pinned_before_is_counted_to_the_page_and_named),
    ]
}

fn single() -> Vec<Test> {
    vec![
        test(held_pins::held_pins_across_fsync_are_seen_by_kernel_and_two_walk),
        test(storm::a_storm_of_direct_reads_makes_nobody_a_suspect_and_leaves_nothing_pinned),
        either_way(suspend::the_time_asleep_counts_in_ages_and_hold_times),
    ]
}

fn long() -> Vec<Test> {
    vec![
        test(sampling::more_owners_than_the_ledger_has_slots_for_make_no_difference),
        test(storm::five_minutes_of_direct_reads_make_nobody_a_suspect_and_leave_nothing_pinned),
    ]
}

fn large() -> Vec<Test> {
    vec![
        test(rollbacks::pages_that_migrate_before_a_longterm_pin_are_counted_as_rolled_back),
        test(rollbacks::pins_of_pages_that_cannot_migrate_are_counted_as_rolled_back),
        test(huge_folios::a_gibibyte_of_fixed_buffers_on_huge_pages_takes_512_entries),
        test(sampling::a_million_pages_in_a_ledger_of_4096_entries_are_estimated_and_exact_again_after),
    ]
}

fn test<F: Fn(&Bench) -> Result<()> + 'static>(run: F) -> Test {
    let path = std::any::type_name::<F>();
    Test {
        name: path.rsplit("::").next().unwrap_or(path),
        run: Box::new(run),
        either_way: false,
    }
}

fn either_way<F: Fn(&Bench) -> Result<()> + 'static>(run: F) -> Test {
    Test {
        either_way: true,
        ..test(run)
    }
}
