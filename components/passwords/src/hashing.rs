//! Argon2id with the parameters of OWASP's Password Storage Cheat Sheet that take least memory, which an instance keeps as
//! long as it lives: 7 MiB, five passes, one lane. The sheet holds them to be as strong as 19 MiB and two passes.

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::Error};

fn argon2id() -> Result<Argon2<'static>, Error> {
    let params = Params::new(7 << 10, 5, 1, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The password's hash under a fresh random salt, as a PHC string.
pub(crate) fn hash(password: &str) -> Result<String, Error> {
    argon2id()?.hash_password(password.as_bytes()).map(|hash| hash.to_string())
}

/// Whether the password has this hash, by the parameters that the hash names. An error when it is not a PHC string of
/// Argon2.
pub(crate) fn verify(password: &str, hash: &str) -> Result<bool, Error> {
    match argon2id()?.verify_password(password.as_bytes(), hash) {
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
        assert!(hash.starts_with("$argon2id$v=19$m=7168,t=5,p=1$"), "{hash}");
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
