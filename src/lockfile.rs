//! One process to a folder: an advisory lock on a file that holds the process's number. The system lets go of it when the process
//! ends, however it ends, so that nothing has to be cleared away after a crash.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// A lock that is held for as long as this lives.
#[derive(Debug)]
pub struct Lockfile {
    _file: File,
}

impl Lockfile {
    /// Takes the lock, and makes the file and its folder where they are not there.
    ///
    /// # Errors
    /// When another process has it, with that one's number where it is known; when the file cannot be written.
    pub fn take(path: &Path) -> Result<Self, String> {
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let wrong = |e: std::io::Error| format!("the folder {} cannot be used: {e}", folder.display());
        std::fs::create_dir_all(folder).map_err(wrong)?;
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(path).map_err(wrong)?;
        match file.try_lock() {
            Ok(()) => {
                let written = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                if let Err(e) = written {
                    // The number only helps who looks for us: a full disk is told of by those who need it.
                    tracing::debug!(file = %path.display(), error = %e, "the number of this process cannot be written into its lock");
                }
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let whose = holder(&mut file).map_or_else(String::new, |pid| format!(" (pid {pid})"));
                Err(format!("the folder {} is in use by another process{whose}: stop that one, or use another folder", shown(folder)))
            }
            Err(TryLockError::Error(e)) => {
                Err(format!("{} cannot be locked: {e}; use a folder whose file system has locks", path.display()))
            }
        }
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
    text.trim().parse().ok()
}

/// The folder's whole name where the system tells it: a relative one says little to who has started two.
fn shown(folder: &Path) -> String {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned()).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_for_one_and_free_again_after_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("made").join("store.lock");
        let first = Lockfile::take(&path).expect("it is free");
        let refused = Lockfile::take(&path).expect_err("it is taken");
        let folder = path.parent().expect("a folder").canonicalize().expect("it is there");
        let expected = format!("the folder {} is in use by another process (pid {})", folder.display(), std::process::id());
        assert!(refused.starts_with(&expected), "{refused}");
        std::fs::write(&path, "").expect("written");
        let refused = Lockfile::take(&path).expect_err("it is taken");
        assert!(refused.contains("by another process: stop"), "whose it is need not be known: {refused}");
        drop(first);
        Lockfile::take(&path).expect("it is free again");
    }
}
