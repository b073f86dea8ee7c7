//! Compiles the contract without protoc and makes the table of permissions from its method options.

#![expect(clippy::disallowed_macros, reason = "a build script speaks to cargo on its standard output")]

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

const PACKAGE: &str = "life.agent.v1";
const FOLDER: &str = "life/agent/v1";

/// Fields that carry a person's secret: owned bytes, so that they can be wiped, in messages that don't print them.
const SECRETS: &[&str] = &["life.agent.v1.NewSecret.inline", "life.agent.v1.Secret.inline"];

/// Messages that hold such a field, or what stands for one, with their oneofs; `src/secrets.rs` prints them without it.
const UNPRINTED: &[&str] = &["DescriptorTicket", "NewSecret", "Secret"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=life");
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(sources()?)?;
    let pool = compiler.descriptor_pool();
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);

    // Encoded by the compiler itself: a detour over prost's types would lose the method options.
    fs::write(out.join("life_descriptor.bin"), compiler.encode_file_descriptor_set())?;
    fs::write(out.join("permissions.rs"), permissions(&pool)?)?;

    let mut builder = tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .codec_path("crate::codec::Codec")
        .skip_debug(UNPRINTED.iter().map(|name| format!(".{PACKAGE}.{name}")));
    for field in shared_bytes(&pool) {
        builder = builder.bytes(field);
    }
    builder.compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

fn sources() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(FOLDER)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(Path::new(FOLDER).join(path.file_name().ok_or("a file has a name")?));
        }
    }
    files.sort();
    Ok(files)
}

/// The bytes fields that may share the transport's buffer: all but the secrets.
fn shared_bytes(pool: &DescriptorPool) -> Vec<String> {
    let is_bytes = |field: &FieldDescriptor| matches!(field.kind(), Kind::Bytes);
    pool.all_messages()
        .filter(|message| message.package_name() == PACKAGE)
        .flat_map(|message: MessageDescriptor| message.fields().collect::<Vec<_>>())
        .filter(|field| is_bytes(field) && !SECRETS.contains(&field.full_name()))
        .map(|field| format!(".{}", field.full_name()))
        .collect()
}

/// The table path -> permission; fails when a method names none.
fn permissions(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let option = pool.get_extension_by_name("life.agent.v1.permission").ok_or("options.proto is missing")?;
    let names = pool.get_enum_by_name("life.agent.v1.Permission").ok_or("options.proto is missing")?;
    let mut table = String::from("&[\n");
    for service in pool.services().filter(|service| service.package_name() == PACKAGE) {
        for method in service.methods() {
            let options = method.options();
            let number = options.get_extension(&option).as_enum_number().filter(|number| *number != 0);
            let name = number.and_then(|number| names.get_value(number));
            let name = name.ok_or_else(|| format!("{} names no permission", method.full_name()))?;
            let variant = rust_name(name.name().trim_start_matches("PERMISSION_"));
            let (service, method) = (service.full_name(), method.name());
            writeln!(table, "    (\"/{service}/{method}\", v1::Permission::{variant}),")?;
        }
    }
    table.push(']');
    Ok(table)
}

/// `ACCOUNT_READ` -> `AccountRead`, as prost does.
fn rust_name(name: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(1);
        format!("{first}{}", rest.to_lowercase())
    };
    name.split('_').map(capital).collect()
}
