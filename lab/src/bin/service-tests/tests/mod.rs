//! The tests, one file for each promise of the service; a test's function name is its sentence.

use anyhow::Result;

mod books;
mod confinement;
mod files;
mod hooks;
mod lifecycle;
mod manager;
mod owners;
mod package;
mod reload;
mod switches;
mod web;

pub(crate) use package::Packages;

/// One test.
pub(crate) struct Test {
    /// The name of its function.
    pub(crate) name: &'static str,
    /// Runs it.
    pub(crate) run: Box<dyn Fn() -> Result<()>>,
}

/// All tests, in the order in which they run: those that find a running service use it. With
/// packages, of the service that they bring.
pub(crate) fn all(packages: Option<Packages>) -> Vec<Test> {
    let Some(packages) = packages else {
        return of_the_service();
    };
    let mut tests = vec![
        packaged(package::installing_it_starts_it_and_enables_it, &packages),
        packaged(package::links_in_its_pages_lead_somewhere, &packages),
        packaged(package::its_sysctl_file_is_taken_as_it_is, &packages),
    ];
    tests.extend(of_the_service());
    tests.extend([
        packaged(
            package::an_upgrade_keeps_settings_and_starts_the_new_one,
            &packages,
        ),
        test(switches::while_function_tracing_is_off_it_waits_with_its_end_and_is_not_killed),
        packaged(
            package::what_an_operator_has_switched_off_stays_off,
            &packages,
        ),
        packaged(
            package::removing_it_ends_it_and_keeps_its_settings,
            &packages,
        ),
        packaged(package::purging_it_leaves_nothing, &packages),
    ]);
    tests
}

fn packaged<F: Fn(&Packages) -> Result<()> + 'static>(run: F, packages: &Packages) -> Test {
    let packages = packages.clone();
    Test {
        name: name::<F>(),
        run: Box::new(move || run(&packages)),
    }
}

fn of_the_service() -> Vec<Test> {
    vec![
        // The first start that has all that the unit and the host's settings allow.
        test(lifecycle::it_stops_cleanly_and_leaves_nothing_in_the_kernel),
        test(switches::function_tracing_switched_off_keeps_it_from_starting),
        test(switches::a_kernel_that_interprets_bpf_keeps_it_from_starting),
        test(books::a_start_under_load_leaves_no_difference),
        test(lifecycle::it_is_active_once_it_answers),
        test(lifecycle::it_may_open_more_files_than_it_has),
        test(confinement::it_runs_as_nobody_in_particular_and_can_gain_nothing),
        test(confinement::it_has_the_capabilities_that_its_unit_names_and_no_other),
        test(confinement::systemd_understands_every_line_of_its_unit),
        test(confinement::its_exposure_is_low),
        test(hooks::it_attaches_every_hook_that_root_could_attach),
        test(owners::a_living_owner_of_another_user_is_alive_and_no_suspect),
        test(owners::the_cgroup_of_an_owner_is_the_one_that_systemd_gave_it),
        test(owners::an_owner_that_has_ended_is_a_suspect_until_its_pins_are_gone),
        test(files::a_file_has_the_path_that_it_has_on_the_host),
        test(manager::the_status_says_what_is_pinned),
        test(manager::it_is_watched),
        test(books::a_host_under_load_has_no_difference),
        test(books::a_host_at_rest_has_no_difference),
        test(reload::a_reload_takes_over_what_changed_and_fails_if_the_file_cannot_be_used),
        test(reload::it_reloads_as_a_unit_of_type_notify_reload_does),
        test(web::a_password_that_systemd_hands_over_is_asked_for),
        test(switches::a_file_switches_it_off_over_restarts_until_it_is_removed),
        test(lifecycle::it_is_started_again_when_it_is_killed),
    ]
}

fn test<F: Fn() -> Result<()> + 'static>(run: F) -> Test {
    Test {
        name: name::<F>(),
        run: Box::new(run),
    }
}

fn name<F>() -> &'static str {
    let path = std::any::type_name::<F>();
    path.rsplit("::").next().unwrap_or(path)
}
