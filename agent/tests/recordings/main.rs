//! Recordings of live kernels, each with the report that the agent printed there:
//! a replay says the same to the byte, and the document shows their figures.
//!
//! `PINSCOPE_WRITE_DOCS=1 cargo test -p pinscope --test recordings` writes the
//! figures into `docs/estimators.md`.

mod figures;

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

const DOCUMENT: &str = "../docs/estimators.md";
const BEGIN: &str = "<!-- live: made from agent/tests/recordings -->\n";
const END: &str = "<!-- live ends -->";

/// One recording, and what the agent said when it was taken.
struct Golden {
    /// `KERNEL-WORKLOAD`.
    name: String,
    recording: PathBuf,
    live: String,
}

fn goldens() -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let mut goldens: Vec<Golden> = fs::read_dir(folder)
        .expect("the recordings lie beside this test")
        .flatten()
        .map(|it| it.path())
        .filter(|it| it.extension().is_some_and(|it| it == "rec"))
        .map(|recording| Golden {
            name: recording
                .file_stem()
                .map(|it| it.to_string_lossy().into_owned())
                .expect("a file has a name"),
            live: fs::read_to_string(recording.with_extension("json"))
                .expect("each recording has its report"),
            recording,
        })
        .collect();
    goldens.sort_by(|one, other| one.name.cmp(&other.name));
    goldens
}

fn replay(recording: &Path, format: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pinscope"))
        .args(["replay", "--format", format])
        .arg(recording)
        .output()
        .expect("the agent can be started")
}

#[test]
fn a_replay_says_what_the_agent_said_live() {
    let goldens = goldens();
    for golden in &goldens {
        let said = replay(&golden.recording, "json");
        assert!(said.status.success(), "{}", golden.name);
        let said = String::from_utf8(said.stdout).expect("a report is text");
        assert!(said == golden.live, "{} says:\n{said}", golden.name);
    }
    for kernel in ["6.1-", "6.12-", "7.3-"] {
        assert!(goldens.iter().any(|it| it.name.starts_with(kernel)));
    }
}

#[test]
fn a_cut_recording_is_reported_with_its_offset_and_used_as_far_as_it_goes() {
    let golden = goldens()
        .into_iter()
        .find(|it| it.name == "6.12-demo")
        .expect("it is among them");
    let whole = fs::read(&golden.recording).expect("it can be read");
    let folder = tempfile::tempdir().expect("there is room");
    let cut = folder.path().join("cut.rec");
    fs::write(&cut, &whole[..whole.len() / 2]).expect("there is room");
    let said = replay(&cut, "json");
    assert_eq!(said.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        complaint.contains("the recording is cut off, at byte "),
        "{complaint}"
    );
    let report: Value = serde_json::from_slice(&said.stdout).expect("the report is whole");
    let samples = report["samples"].as_u64().expect("samples are counted");
    assert!(samples > 0);
}

#[test]
fn a_file_of_which_nothing_can_be_judged_ends_with_2() {
    let folder = tempfile::tempdir().expect("there is room");
    let strange = folder.path().join("strange.rec");
    fs::write(&strange, [0xff; 64]).expect("there is room");
    for path in [folder.path().join("nothing.rec"), strange] {
        let said = replay(&path, "json");
        assert_eq!(said.status.code(), Some(2), "{}", path.display());
        assert!(said.stdout.is_empty());
    }
}

/// The races of an estimator's false negatives, over the recordings whose name begins so.
fn missed(kernel: &str, estimator: &str) -> BTreeSet<String> {
    let mut races = BTreeSet::new();
    for golden in goldens().iter().filter(|it| it.name.starts_with(kernel)) {
        let report: Value = serde_json::from_str(&golden.live).expect("a report is JSON");
        let all = report["estimators"].as_array();
        let scored = all.into_iter().flatten();
        for scored in scored.filter(|it| it["estimator"] == estimator) {
            let by_race = scored["wrong"]["false_negative"].as_object();
            races.extend(by_race.into_iter().flatten().map(|(race, _)| race.clone()));
        }
    }
    races
}

#[test]
fn what_the_document_says_in_words_is_what_the_recordings_show() {
    let races = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
    assert_eq!(missed("", "two_walk"), races(&["gup", "under_way"]));
    assert_eq!(missed("", "ordered"), races(&["under_way"]));
    for kernel in ["6.12-", "7.3-"] {
        assert_eq!(missed(kernel, "kernel"), races(&[]), "{kernel}");
    }
}

#[test]
fn the_document_shows_the_figures_of_the_recordings() {
    let wanted = figures::markdown(
        &goldens()
            .iter()
            .map(|it| {
                let report = serde_json::from_str(&it.live).expect("a report is JSON");
                (it.name.clone(), report)
            })
            .collect::<Vec<(String, Value)>>(),
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let text = fs::read_to_string(&path).expect("the document can be read");
    let (before, rest) = text.split_once(BEGIN).expect("the mark is there");
    let (found, after) = rest.split_once(END).expect("and its end");
    if env::var_os("PINSCOPE_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}"))
            .expect("the document can be written");
        return;
    }
    assert!(found == wanted, "{DOCUMENT} should say:\n{wanted}");
}
