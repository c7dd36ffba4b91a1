//! Small files that are there whole or not at all, whatever happens while they are written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Puts `text` in the place of `path`. Durability: file and name are on disk when it returns. Errors: the file's old
/// content is unchanged.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = beside(path);
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    if let Err(e) = written.and_then(|()| fs::rename(&beside, path)) {
        let _ = fs::remove_file(&beside);
        return Err(e);
    }
    sync_folder(path)
}

/// Removes `path`. Durability: its name is gone from the disk when it returns.
pub fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    sync_folder(path)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".new");
    name.into()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree_test::Tree;

    #[test]
    fn a_file_is_replaced_whole_or_left_alone() {
        let tree = Tree::empty();
        let path = tree.path().join("state");
        replace(&path, "one").expect("room");
        replace(&path, "two").expect("room");
        assert_eq!(fs::read_to_string(&path).expect("it was written"), "two");
        // The name beside it is taken by a folder: nothing can be written there.
        fs::create_dir(beside(&path)).expect("room");
        assert!(replace(&path, "three").is_err());
        assert_eq!(fs::read_to_string(&path).expect("it was written"), "two");
        remove(&path).expect("it is there");
        assert!(remove(&path).is_err());
    }
}
