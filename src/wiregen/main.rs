//! Writes the generated files of the wire crate: `cargo run -p corelane-wiregen`, from anywhere in the workspace.
//!
//! Reads `src/wire/schema/*.kmsg`, writes `src/wire/message/*.rs` and `src/wire/message.rs`, and says which changed.
//! Files that belong to no definition are not removed.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use corelane_wiregen::emit;
use corelane_wiregen::schema;

fn main() -> ExitCode {
    let wire = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("wire");
    match generate(&wire) {
        Ok(changed) => {
            println!("{changed} files changed");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("corelane-wiregen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn generate(wire: &Path) -> Result<usize, Box<dyn Error>> {
    let mut apis = Vec::new();
    for entry in fs::read_dir(wire.join("schema"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let api = schema::parse(&fs::read_to_string(&path)?).map_err(|error| format!("{name}: {error}"))?;
        if name != format!("{}.kmsg", emit::module(&api)) {
            return Err(format!("{name} defines {}", api.name).into());
        }
        apis.push((api, format!("schema/{name}")));
    }
    apis.sort_by_key(|(api, _)| api.key);
    let mut changed = 0;
    for (api, source) in &apis {
        let path = wire.join("message").join(emit::module(api) + ".rs");
        changed += usize::from(write_changed(&path, &emit::file(api, source))?);
    }
    let index = emit::index(&apis.iter().map(|(api, _)| api).collect::<Vec<_>>());
    changed += usize::from(write_changed(&wire.join("message.rs"), &index)?);
    Ok(changed)
}

/// Writes a file if its content differs, and says so.
fn write_changed(path: &Path, content: &str) -> Result<bool, Box<dyn Error>> {
    if fs::read_to_string(path).is_ok_and(|before| before == content) {
        return Ok(false);
    }
    fs::create_dir_all(path.parent().ok_or("no folder")?)?;
    fs::write(path, content)?;
    println!("{}", path.display());
    Ok(true)
}
