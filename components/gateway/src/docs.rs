//! `GET /docs`: the shop's API in Swagger UI, from our own files, under a strict content security policy.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use web::{Error, Path, Result};

/// Nothing from elsewhere, and nothing inline. `data:` are the arrows and locks in the style sheet.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// RFC 1952: what stands before and behind the deflated data of a file that `build.rs` has wrapped.
const HEADER: usize = 10;
const TRAILER: usize = 8;

/// A file of the distribution.
struct Packed {
    name: &'static str,
    content_type: &'static str,
    etag: &'static str,
    gzip: &'static [u8],
}

static PACKED: &[Packed] = &include!(concat!(env!("OUT_DIR"), "/packed.rs"));

/// A file of our own.
struct Plain {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
}

static PLAIN: &[Plain] = &[
    Plain { name: "page.js", content_type: "text/javascript; charset=utf-8", text: include_str!("../docs/page.js") },
    Plain { name: "page.css", content_type: "text/css; charset=utf-8", text: include_str!("../docs/page.css") },
];

/// The API, to look at and to try. The page names its files by whole paths, so it is the same under `/docs` and `/docs/`.
#[utoipa::path(
    get,
    path = "/docs",
    operation_id = "getDocs",
    responses((status = 200, body = String, content_type = "text/html", description = "A page for browsers."))
)]
pub(crate) async fn page() -> Response {
    plain("text/html; charset=utf-8", include_str!("../docs/index.html"))
}

/// What that page needs.
#[utoipa::path(
    get,
    path = "/docs/{file}",
    operation_id = "getDocsFile",
    params(("file" = String, Path, description = "Its name.", example = "page.js")),
    responses(
        (
            status = 200,
            content((String = "text/javascript"), (String = "text/css"), (String = "image/png")),
            description = "A file."
        ),
        (status = 404)
    )
)]
pub(crate) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response> {
    if let Some(file) = PLAIN.iter().find(|file| file.name == name) {
        return Ok(plain(file.content_type, file.text));
    }
    let file = PACKED.iter().find(|file| file.name == name).ok_or(Error::not_found("file"))?;
    file.answer(takes_gzip(&headers))
}

fn plain(content_type: &'static str, text: &'static str) -> Response {
    const LOOK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, LOOK_AGAIN),
    ];
    (headers, text).into_response()
}

impl Packed {
    fn answer(&self, gzip: bool) -> Result<Response> {
        let body = if gzip { Bytes::from_static(self.gzip) } else { self.unpacked()?.into() };
        let headers: [(HeaderName, HeaderValue); 5] = [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
            (header::VARY, HeaderValue::from_static("accept-encoding")),
            (header::ETAG, HeaderValue::from_static(self.etag)),
        ];
        let mut response = (headers, Body::from(body)).into_response();
        if gzip {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(response)
    }

    fn unpacked(&self) -> Result<Vec<u8>> {
        let deflated = self.gzip.get(HEADER..self.gzip.len() - TRAILER).unwrap_or_default();
        miniz_oxide::inflate::decompress_to_vec(deflated)
            .map_err(|error| Error::Internal(format!("{}: {error}", self.name)))
    }
}

/// Whether the client says that it takes gzip, RFC 9110 section 12.5.3. One that says nothing could take anything, and
/// often takes it as it comes: it gets the plain file.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let (mut gzip, mut any) = (None, None);
    for coding in values.flat_map(|value| value.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches(['q', 'Q']).trim_start().trim_start_matches('=').trim();
        let wanted = weight.is_empty() || weight.parse::<f32>().is_ok_and(|weight| weight > 0.0);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = Some(wanted),
            "*" => any = Some(wanted),
            _ => {}
        }
    }
    gzip.or(any).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_take_it() {
        let takes = |value: &'static str| {
            takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]))
        };
        for yes in ["gzip", "GZIP", "deflate, gzip;q=1.0, *;q=0.5", "br, gzip;q=0.1", "*", "x-gzip", "gzip; Q = 1"] {
            assert!(takes(yes), "{yes}");
        }
        for no in ["", "br", "identity", "gzip;q=0", "gzip; q=0.0, *", "*;q=0", "gzip;q=x"] {
            assert!(!takes(no), "{no}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn files_unpack_to_what_their_trailer_says() {
        assert_eq!(PACKED.len(), 3);
        for file in PACKED {
            let unpacked = file.unpacked().unwrap();
            let length = u32::from_le_bytes(file.gzip[file.gzip.len() - 4..].try_into().unwrap());
            assert_eq!(unpacked.len(), length as usize, "{}", file.name);
        }
    }
}
