//! Bytes kept under their own hash: writing the same twice keeps one, and a name never lies about its content.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use fairway_adapters::kit::crypto;

/// Why bytes could not be kept or found.
pub type Error = io::Error;

/// A folder of blobs.
#[derive(Clone, Debug)]
pub struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    /// Opens or creates the folder.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Those beside the media that no row of the store names: bodies of deliveries that were not understood, let go by their age.
    pub fn raw(&self) -> Self {
        Self { folder: self.folder.join("raw") }
    }

    /// Keeps bytes; durable when it returns. Answers their SHA-256 in hex. What is there already counts as new again.
    pub fn put(&self, bytes: &[u8]) -> Result<String, Error> {
        let name = crypto::hex(&crypto::sha256(bytes));
        let path = self.path(&name)?;
        if let Ok(known) = fs::File::open(&path) {
            let _ = known.set_modified(SystemTime::now()); // Somebody else's file is let go by its old age.
            return Ok(name);
        }
        let parent = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent)?;
        // Written beside and renamed: a crash leaves no half blob under a name.
        let draft = parent.join(format!(".{}", crate::ids::text("", crate::ids::random())));
        let mut file = fs::File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        fs::File::open(parent)?.sync_all()?;
        Ok(name)
    }

    /// The bytes of that hash.
    pub fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        fs::read(self.path(name)?)
    }

    /// Keeps under which hash a media object lies, so that whoever cannot wait for the store finds it by its id.
    pub fn name(&self, id: &str, blob: &str) -> Result<(), Error> {
        let path = self.named(id)?;
        let parent = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent)?;
        let draft = parent.join(format!(".{}", crate::ids::text("", crate::ids::random())));
        let mut file = fs::File::create(&draft)?;
        file.write_all(blob.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        fs::File::open(parent)?.sync_all()
    }

    /// The hash under which a media object lies.
    pub fn find(&self, id: &str) -> Option<String> {
        fs::read_to_string(self.named(id).ok()?).ok()
    }

    /// Where the hash of a media object stands. Only ids of ours name one.
    fn named(&self, id: &str) -> Result<PathBuf, Error> {
        if !id.starts_with("med_") || crate::ids::read_fingerprint(id).is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the id of a media object"));
        }
        Ok(self.folder.join("ids").join(&id[4..6]).join(id))
    }

    /// Lets go of a blob.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        match fs::remove_file(self.path(name)?) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Lets go of all blobs that were last kept before then; how many those were.
    pub fn remove_before(&self, time: SystemTime) -> Result<usize, Error> {
        let mut gone = 0;
        let folders = match fs::read_dir(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
            folders => folders?,
        };
        for folder in folders.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|f| f.path().is_dir()) {
            for file in fs::read_dir(folder.path())? {
                let file = file?;
                // Another node may be at it too.
                match file.metadata().and_then(|about| about.modified()) {
                    Ok(kept) if kept < time => match fs::remove_file(file.path()) {
                        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                        _ => gone += 1,
                    },
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
        }
        Ok(gone)
    }

    /// Forgets under which hash a media object lay.
    pub fn forget(&self, id: &str) -> Result<(), Error> {
        match fs::remove_file(self.named(id)?) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Where a blob lies. Only hashes name one, so no name leads out of the folder.
    pub fn path(&self, name: &str) -> Result<PathBuf, Error> {
        if crypto::unhex::<32>(name).is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a blob"));
        }
        Ok(self.folder.join(&name[..2]).join(name))
    }
}
