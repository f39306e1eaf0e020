//! Argon2id with the parameters of OWASP's Password Storage Cheat Sheet: 19 MiB, two passes, one lane.

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::Error};

fn argon2id() -> Argon2<'static> {
    // `Params::DEFAULT` is what OWASP recommends; a test holds it to that.
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// The password's hash under a fresh random salt, as a PHC string.
pub(crate) fn hash(password: &str) -> Result<String, Error> {
    argon2id().hash_password(password.as_bytes()).map(|hash| hash.to_string())
}

/// Whether the password has this hash, by the parameters that the hash names. An error when it is not a PHC string of
/// Argon2.
pub(crate) fn verify(password: &str, hash: &str) -> Result<bool, Error> {
    match argon2id().verify_password(password.as_bytes(), hash) {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_argon2id_with_owasps_parameters() {
        let hash = hash("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    }

    #[test]
    fn only_the_password_matches() {
        let hash = hash("correct horse").unwrap();
        assert!(verify("correct horse", &hash).unwrap());
        assert!(!verify("correct horsf", &hash).unwrap());
        assert!(verify("correct horse", "plain text").is_err());
    }

    #[test]
    fn the_same_password_never_has_the_same_hash() {
        assert_ne!(hash("correct horse").unwrap(), hash("correct horse").unwrap());
    }
}
