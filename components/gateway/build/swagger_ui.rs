//! Takes what `/docs` needs out of the published distribution of Swagger UI. The archive holds its files deflated, and so
//! does gzip: they are wrapped in its header and trailer, and not compressed again.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

use rawzip::{CompressionMethod, ZipArchive};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

const FILES: [(&str, &str); 3] = [
    ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ("swagger-ui.css", "text/css; charset=utf-8"),
    ("favicon-32x32.png", "image/png"),
];
/// RFC 1952: deflated, no flags, no time, an unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Writes the files, and `packed.rs`, the list of them.
pub(crate) fn write() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build/swagger_ui.rs");
    let out = env::var("OUT_DIR")?;
    let mut source = String::from("[\n");
    for (name, content_type) in FILES {
        let (gzip, crc) = packed(name)?;
        let kept = Path::new(&out).join(name);
        fs::write(&kept, gzip)?;
        writeln!(
            source,
            "    Packed {{ name: {name:?}, content_type: {content_type:?}, etag: \"W/\\\"{crc:08x}\\\"\", \
             gzip: include_bytes!({kept:?}) }},",
        )?;
    }
    source.push_str("]\n");
    fs::write(Path::new(&out).join("packed.rs"), source)?;
    Ok(())
}

/// A file of the distribution in gzip, and its checksum.
fn packed(name: &str) -> Result<(Vec<u8>, u32), Box<dyn Error>> {
    let archive = ZipArchive::from_slice(SWAGGER_UI_VENDORED)?;
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry()? {
        // `swagger-ui-<version>/dist/<name>`, and not one of a flavour further down.
        let path = std::str::from_utf8(entry.file_path().as_bytes())?;
        if !path.split('/').skip(1).eq(["dist", name]) {
            continue;
        }
        let (crc, size) = (entry.crc32(), u32::try_from(entry.uncompressed_size_hint())?);
        let mut gzip = HEADER.to_vec();
        // What does not get smaller is in the archive as it is: one block of that kind, RFC 1951 section 3.2.4.
        if entry.compression_method() == CompressionMethod::STORE {
            let length = u16::try_from(size)?;
            gzip.push(1);
            gzip.extend(length.to_le_bytes());
            gzip.extend((!length).to_le_bytes());
        } else if entry.compression_method() != CompressionMethod::DEFLATE {
            return Err(format!("{name} is neither stored nor deflated").into());
        }
        gzip.extend(archive.get_entry(entry.wayfinder())?.data());
        gzip.extend(crc.to_le_bytes());
        gzip.extend(size.to_le_bytes());
        return Ok((gzip, crc));
    }
    Err(format!("{name} is not in the distribution").into())
}
