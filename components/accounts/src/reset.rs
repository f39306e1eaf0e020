//! The rules of codes for a forgotten password. Pure.

use std::time::Duration;

use model::Timestamp;

use crate::session;

/// How long a code is good.
pub(crate) const LIFE: Duration = Duration::from_secs(10 * 60);
/// How long until another one is sent to the same address: nobody can fill a mailbox with them.
pub(crate) const PAUSE: Duration = Duration::from_secs(60);
/// So many wrong ones end it.
const TRIES: u32 = 5;
/// Crockford's base 32: no two characters look alike.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 50 bits: whoever reads the database cannot find one from its hash in the ten minutes that it lives.
const LENGTH: usize = 10;

/// A code made of random bytes, as the mail shows it: `7K3QX-0M9TZ`.
pub(crate) fn code(random: &[u8; 32]) -> String {
    let mut code: String =
        random.iter().take(LENGTH).map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    code.insert(LENGTH / 2, '-');
    code
}

/// What is kept of a code for `address`: people may type it in small letters, without the dash, with O for 0.
pub(crate) fn hash(address: &str, code: &str) -> String {
    let normal: String = code
        .chars()
        .filter(|character| !character.is_whitespace() && *character != '-')
        .map(|character| match character.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect();
    session::fingerprint(&format!("{address}/{normal}"))
}

/// The code that was sent last to an address.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) hash: String,
    /// Wrong ones so far.
    pub(crate) tries: u32,
    pub(crate) expires_at: Timestamp,
}

/// What a code that comes is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    Wrong,
    /// None is right any more.
    Over,
}

impl Sent {
    pub(crate) fn judge(&self, hash: &str, now: Timestamp) -> Verdict {
        if self.expires_at <= now || self.tries >= TRIES {
            Verdict::Over
        } else if self.hash == hash {
            Verdict::Right
        } else {
            Verdict::Wrong
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn sent() -> Sent {
        Sent { hash: hash("ann", "7K3QX-0M91Z"), tries: 0, expires_at: NOW.after(LIFE) }
    }

    #[test]
    fn codes_can_be_read_and_typed() {
        assert_eq!(code(&[0; 32]), "00000-00000");
        assert_eq!(code(&[255; 32]), "ZZZZZ-ZZZZZ");
        for typed in ["7K3QX-0M91Z", "7k3qx0m91z", " 7k3qx 0m91z ", "7K3QX-OM9LZ", "7k3qxom9iz"] {
            assert_eq!(sent().judge(&hash("ann", typed), NOW), Verdict::Right, "{typed}");
        }
        assert_eq!(sent().judge(&hash("bob", "7K3QX-0M91Z"), NOW), Verdict::Wrong, "for another address");
        assert_eq!(sent().judge(&hash("ann", "7K3QX-0M91"), NOW), Verdict::Wrong);
    }

    #[test]
    fn a_code_ends_with_its_time_and_with_five_wrong_ones() {
        let right = sent().hash;
        assert_eq!(Sent { tries: 4, ..sent() }.judge(&right, NOW), Verdict::Right);
        assert_eq!(Sent { tries: 5, ..sent() }.judge(&right, NOW), Verdict::Over);
        assert_eq!(sent().judge(&right, Timestamp(NOW.after(LIFE).0 - 1)), Verdict::Right);
        assert_eq!(sent().judge(&right, NOW.after(LIFE)), Verdict::Over);
    }
}
