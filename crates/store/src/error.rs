/// Why a statement or a transaction did not do its work. It has changed nothing, except perhaps in the case of `Away`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Others held the database for longer than the retries last. Trying later may help.
    #[error("the database is busy")]
    Busy,
    /// The database server cannot be reached, or went away. A commit that was under way may have happened. Trying later
    /// may help.
    #[error("the database is away: {0}")]
    Away(String),
    /// A `UNIQUE` constraint refused the row; the engine's words name it.
    #[error("{0}")]
    NotUnique(String),
    /// A column does not hold what the code expects there.
    #[error("column {column}: expected {expected}, found {found}")]
    Type {
        /// Counted from 0.
        column: usize,
        /// The type the code asked for.
        expected: &'static str,
        /// The type in the row.
        found: &'static str,
    },
    /// Anything else the engine says: a syntax error, a full disk, a missing grant.
    #[error("{0}")]
    Engine(String),
}

impl Error {
    /// True when nothing has happened, and the same work may succeed a moment later.
    pub fn is_busy(&self) -> bool {
        matches!(self, Error::Busy)
    }
}
