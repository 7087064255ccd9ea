//! Call paths by subsystem.

use super::*;

fn of(path: &[Frame]) -> &'static str {
    Modules::default().of(path)
}

fn path(functions: &[&str]) -> Vec<Frame> {
    functions
        .iter()
        .map(|function| Frame {
            function: (*function).to_owned(),
            module: None,
        })
        .collect()
}

#[test]
fn the_innermost_function_that_is_known_decides() {
    let through_io_uring = path(&[
        "iov_iter_extract_pages",
        "bio_iov_iter_get_pages",
        "iomap_dio_bio_iter",
        "ext4_file_read_iter",
        "io_read",
        "io_issue_sqe",
    ]);
    assert_eq!(of(&through_io_uring), "direct_io");
    let registered = path(&["io_pin_pages", "io_sqe_buffer_register", "do_syscall_64"]);
    assert_eq!(of(&registered), "io_uring_buffers");
}

#[test]
fn a_module_decides_where_its_functions_are_not_listed() {
    let frames = [Frame {
        function: "some_new_function".to_owned(),
        module: Some("mlx5_ib".to_owned()),
    }];
    assert_eq!(of(&frames), "rdma");
}

#[test]
fn a_clone_of_the_compiler_is_its_function() {
    assert_eq!(of(&path(&["process_vm_rw_core.isra.0"])), "process_vm");
}

#[test]
fn what_no_row_names_is_other_and_no_path_is_unknown() {
    assert_eq!(of(&path(&["something_else"])), OTHER);
    assert_eq!(of(&[]), UNKNOWN);
}

#[test]
fn a_subsystem_has_one_row() {
    let mut names: Vec<_> = names().collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

fn in_module(function: &str, module: &str) -> Frame {
    Frame {
        function: function.to_owned(),
        module: Some(module.to_owned()),
    }
}

#[test]
fn drivers_that_are_not_the_kernels_have_their_rows() {
    for (module, subsystem) in [
        ("zfs", "zfs"),
        ("xpmem", "xpmem"),
        ("osc", "lustre"),
        ("gdrdrv", "gdrdrv"),
        ("nvidia_fs", "nvidia_fs"),
        ("nvidia_uvm", "gpu"),
        ("mshv_root", "mshv"),
        ("xen_gntdev", "gntdev"),
        ("smbdirect", "smbdirect"),
        ("virtiofs", "virtiofs"),
    ] {
        assert_eq!(of(&[in_module("f", module)]), subsystem, "{module}");
    }
}

#[test]
fn what_io_uring_receives_into_is_not_a_fixed_buffer() {
    let frames = ["io_pin_pages", "io_import_umem", "io_register_zcrx_ifq"];
    assert_eq!(of(&path(&frames)), "zcrx");
    assert_eq!(
        of(&path(&["io_pin_pages", "io_rings_map"])),
        "io_uring_buffers"
    );
}

#[test]
fn a_module_without_a_row_is_a_subsystem_of_its_name() {
    let mut modules = Modules::default();
    let frames = [
        in_module("bpf_prog_0123456789abcdef_fexit", "bpf"),
        path(&["something_else"]).remove(0),
        in_module("pin_it", "tenstorrent"),
    ];
    assert_eq!(modules.of(&frames), "module:tenstorrent");
    assert_eq!(modules.of(&frames), "module:tenstorrent");
    assert_eq!(modules.0.len(), 1);
}

#[test]
fn however_many_modules_there_are_few_are_told_apart() {
    let mut modules = Modules::default();
    for number in 0..100 {
        let frames = [in_module("pin_it", &format!("m{number}"))];
        let expected = match number < MOST_MODULES {
            true => format!("module:m{number}"),
            false => OTHER.to_owned(),
        };
        assert_eq!(modules.of(&frames), expected);
    }
    assert_eq!(modules.of(&[in_module("pin_it", "m0")]), "module:m0");
}
