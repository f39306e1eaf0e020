//! What things are called.

/// Of a name, a word each: so each of these is in a sixth of the names, and of the next ones in an eighth.
pub const ADJECTIVES: [&str; 6] = ["modern", "classic", "rustic", "compact", "foldable", "elegant"];
/// The second word of a name.
pub const MATERIALS: [&str; 8] = ["walnut", "steel", "bamboo", "ceramic", "linen", "glass", "copper", "marble"];
pub(super) const NOUNS: [&str; 32] = [
    "lamp", "table", "chair", "shelf", "bowl", "vase", "mirror", "clock", "tray", "basket", "stool", "bench", "desk",
    "rack", "box", "frame", "jug", "plate", "knife", "board", "stand", "hook", "cover", "screen", "lantern", "planter",
    "kettle", "pan", "holder", "drawer", "cabinet", "divider",
];
pub(super) const COLOURS: [&str; 8] = ["black", "white", "green", "blue", "red", "grey", "natural", "yellow"];
pub(super) const FIRST_NAMES: [&str; 16] = [
    "Ada", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Ines", "Jonas", "Kira", "Leo", "Mia", "Nils",
    "Olga", "Paul",
];
pub(super) const LAST_NAMES: [&str; 16] = [
    "Adler", "Brandt", "Cole", "Dietz", "Ehlers", "Frank", "Graf", "Hahn", "Iver", "Jung", "Kern", "Lang", "Marx",
    "Noll", "Otto", "Pohl",
];
pub(super) const TOWNS: [&str; 4] = ["Berlin", "Hamburg", "Leipzig", "Bremen"];

/// So many words are used in descriptions, the first ones often: the word of rank r about as often as 1/r, as in languages.
pub(super) const VOCABULARY: u32 = 5_000;

/// The word of that rank, counted from 0: a made-up one, no two alike, and none the beginning of another.
pub fn vocabulary(rank: u32) -> String {
    const CONSONANTS: &[u8; 16] = b"bdfghjklmnprstvz";
    const VOWELS: &[u8; 5] = b"aeiou";
    // Two syllables of 80, the second shifted by the first so that neighbours do not look alike.
    let (first, second) = (rank % 80, (rank / 80 + rank * 3) % 80);
    let syllable = |of: u32| [CONSONANTS[of as usize / 5], VOWELS[of as usize % 5]];
    let letters = [syllable(first), syllable(second)].concat();
    letters.into_iter().chain([b'n']).map(char::from).collect()
}

/// A code of six letters and digits, no two alike below 2^30.
pub(super) fn code(number: i64) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKMNPQRSTUVWXYZ23456789";
    // Odd, so that what it makes of different numbers is different.
    let mixed = number.unsigned_abs().wrapping_mul(0x2545_F491) & 0x3FFF_FFFF;
    (0..6).map(|place| char::from(DIGITS[(mixed >> (5 * place)) as usize & 31])).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_words_and_no_two_codes_are_alike() {
        assert_eq!((0..VOCABULARY).map(vocabulary).collect::<BTreeSet<_>>().len(), 5_000);
        assert_eq!((1..=100_000).map(code).collect::<BTreeSet<_>>().len(), 100_000);
    }
}
