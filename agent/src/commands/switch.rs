//! The file by which an operator takes the agent's hands off the kernel, on every start until it is
//! removed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::sleep;

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(1);

/// The switch. It is off while its file is there.
#[derive(Clone, Debug)]
pub(super) struct Switch(PathBuf);

impl Switch {
    pub(super) fn of(file: &Path) -> Self {
        Self(file.to_owned())
    }

    /// Why it is off; `None` while it is on. A file of which this process cannot know whether it is
    /// there may be there.
    pub(super) fn off(&self) -> Option<String> {
        let file = self.0.display();
        match fs::symlink_metadata(&self.0) {
            Ok(_) => Some(format!("{file} is there")),
            Err(error) if is_absent(&error) => None,
            Err(error) => Some(format!("whether {file} is there is not known: {error}")),
        }
    }

    /// Comes back once it is off, with why.
    pub(super) async fn turned_off(&self) -> String {
        loop {
            if let Some(why) = self.off() {
                return why;
            }
            sleep(EVERY).await;
        }
    }

    /// Comes back once it is on; `meanwhile` is called each time that it is not.
    pub(super) async fn turned_on(&self, meanwhile: impl Fn()) {
        while self.off().is_some() {
            meanwhile();
            sleep(EVERY).await;
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    // The second where a part of the path is a file.
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_off_while_the_file_is_there_whatever_that_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("off");
        let switch = Switch::of(&file);
        assert_eq!(switch.off(), None);
        fs::write(&file, "").unwrap();
        assert_eq!(switch.off(), Some(format!("{} is there", file.display())));
        fs::remove_file(&file).unwrap();
        assert_eq!(switch.off(), None);
        std::os::unix::fs::symlink("nowhere", &file).unwrap();
        assert!(switch.off().is_some());
        assert_eq!(Switch::of(&file.join("below")).off(), None);
    }

    #[test]
    fn it_is_off_where_that_cannot_be_known() {
        let switch = Switch::of(Path::new(&"x".repeat(300)));
        let why = switch.off().unwrap();
        assert!(why.contains("is not known"), "{why}");
    }
}
