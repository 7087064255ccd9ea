//! The tests, one file for each promise of the agent; a test's function name is its sentence.

use anyhow::Result;

use crate::bench::Bench;

mod held_pins;
mod hooks;
mod nothing_pinned;
mod reconciliation;
mod refusals;
mod ring;
mod service;

/// What a test does.
type Run = Box<dyn Fn(&Bench) -> Result<()>>;

/// One test.
pub(crate) struct Test {
    /// The name of its function.
    pub(crate) name: &'static str,
    /// Runs it.
    pub(crate) run: Run,
}

/// All of them, in the order in which they run.
pub(crate) fn all() -> Vec<Test> {
    vec![
        test(hooks::every_family_of_hooks_is_attached),
        test(held_pins::held_pins_across_fsync_are_seen_by_kernel_and_two_walk),
        test(held_pins::held_pins_of_large_folios_are_seen_by_kernel_and_two_walk),
        test(held_pins::pins_for_reading_are_seen_like_pins_for_writing),
        test(held_pins::a_private_mapping_misleads_two_walk_and_not_the_kernel),
        test(reconciliation::at_quiet_points_ledger_and_totals_equal_the_kernels_over_400000_pages),
        test(reconciliation::long_pins_are_outstanding_until_they_are_released),
        test(reconciliation::a_race_of_unmapping_syncs_and_reads_leaves_no_page_outstanding),
        test(reconciliation::references_are_counted_apart_from_pins),
        test(reconciliation::direct_reads_are_booked_as_the_kernel_took_them),
        test(nothing_pinned::nothing_pinned_means_no_pinned_verdict_and_an_empty_ledger),
        test(ring::a_4_kib_ring_under_load_delivers_or_counts_every_sample),
        test(ring::samples_for_a_stopped_agent_are_counted_as_lost),
        test(refusals::without_privileges_it_names_what_is_missing_and_the_way_out),
        test(refusals::a_busy_port_is_one_clear_line),
        test(refusals::a_second_agent_is_refused),
        test(refusals::bad_arguments_are_refused_by_name),
        test(service::sigterm_and_sigint_end_it_cleanly),
        test(service::a_time_limit_ends_it_with_a_summary),
        test(service::the_service_manager_hears_ready_and_stopping),
    ]
}

fn test<F: Fn(&Bench) -> Result<()> + 'static>(run: F) -> Test {
    let path = std::any::type_name::<F>();
    Test {
        name: path.rsplit("::").next().unwrap_or(path),
        run: Box::new(run),
    }
}
