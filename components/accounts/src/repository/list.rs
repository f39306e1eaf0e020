//! SQL of lists of accounts: one index leads to them, and what else is asked of them is looked at row by row.

use model::{Role, UserId};
use serde::{Deserialize, Serialize};
use store::{Conditions, Engine, Find, WINDOW};
use web::Result;

use super::users::{USER, user};
use crate::{
    DATABASE,
    account::{Status, User},
};

/// Which accounts to list; everything that is set must hold.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) id: Option<UserId>,
    /// The words that begin words of the name, as [`store::words`]; not none.
    pub(crate) name: Option<Vec<String>>,
    /// The beginning of the address, in its normal form.
    pub(crate) email: Option<String>,
    /// The digits of the number to call.
    pub(crate) phone: Option<String>,
    pub(crate) role: Option<Role>,
    pub(crate) status: Option<Status>,
}

/// The place of an account in a list: its id and its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place(i64, String);

impl Place {
    pub(crate) fn of(user: &User) -> Self {
        Self(user.id.0, user.email.clone())
    }
}

/// What leads to the accounts of a list, and gives it its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lead {
    Name,
    Id,
    Phone,
    Email,
    /// Whatever has an id: the role, the status, nothing.
    Age,
}

impl Lead {
    const fn tables(self) -> &'static str {
        match self {
            Lead::Name => "user_names n CROSS JOIN users u ON u.id = n.rowid",
            _ => "users u",
        }
    }

    /// The column of the order, which is the newest first but for addresses.
    const fn key(self) -> &'static str {
        match self {
            Lead::Name => "n.rowid",
            Lead::Email => "u.email",
            _ => "u.id",
        }
    }

    fn add(self, conditions: &mut Conditions, (by_address, newest_first): (&str, &str), Place(id, email): &Place) {
        match self {
            Lead::Email => conditions.add(&format!("u.email {by_address}"), email.as_str()),
            _ => conditions.add(&format!("{} {newest_first}", self.key()), *id),
        }
    }

    fn order(self) -> String {
        format!("{}{}", self.key(), if self == Lead::Email { "" } else { " DESC" })
    }
}

impl Filter {
    fn lead(&self) -> Lead {
        match self {
            Self { name: Some(_), .. } => Lead::Name,
            Self { id: Some(_), .. } => Lead::Id,
            Self { phone: Some(_), .. } => Lead::Phone,
            Self { email: Some(_), .. } => Lead::Email,
            _ => Lead::Age,
        }
    }

    /// What an index finds.
    fn indexed(&self, engine: Engine, after: Option<&Place>) -> Conditions {
        let (mut conditions, lead) = (Conditions::default(), self.lead());
        let name = self.name.as_deref().map(|words| Find::all_begun(words).expression(engine));
        match engine {
            Engine::Sqlite => conditions.add_some("n.user_names MATCH", name),
            Engine::Postgres => conditions.add_some("n.user_names @@ asked(", name),
        }
        conditions.add_some(&format!("{} =", lead.key()), self.id.map(|id| id.0));
        match lead {
            Lead::Phone => conditions.add_some("u.phone_digits =", self.phone.as_deref()),
            Lead::Email => self.add_email("u.email", &mut conditions),
            Lead::Age => match self.role {
                Some(role) => conditions.add("u.role =", role.as_str()),
                None => conditions.add_some("u.status =", self.status.map(Status::as_str)),
            },
            Lead::Name | Lead::Id => {}
        }
        if let Some(after) = after {
            lead.add(&mut conditions, (">", "<"), after);
        }
        conditions
    }

    /// What must be looked at row by row. Expressions keep the engine from another index, after which it would have to
    /// sort.
    fn others(&self) -> Conditions {
        let (mut conditions, lead) = (Conditions::default(), self.lead());
        if lead != Lead::Phone {
            conditions.add_some("u.phone_digits || '' =", self.phone.as_deref());
        }
        if lead != Lead::Email {
            self.add_email("u.email || ''", &mut conditions);
        }
        if lead != Lead::Age {
            conditions.add_some("u.role || '' =", self.role.map(Role::as_str));
        }
        if lead != Lead::Age || self.role.is_some() {
            conditions.add_some("u.status || '' =", self.status.map(Status::as_str));
        }
        conditions
    }

    fn add_email(&self, column: &str, conditions: &mut Conditions) {
        if let Some(prefix) = &self.email {
            conditions.add(&format!("{column} >="), prefix.as_str());
            // Behind everything that begins so: an address holds no such character.
            conditions.add(&format!("{column} <"), format!("{prefix}\u{10FFFF}"));
        }
    }
}

/// Up to `limit` accounts: the newest first, by address when that leads to them. And, when the look ended before the list
/// did, the place where it ended.
pub(crate) async fn list(filter: &Filter, after: Option<Place>, limit: u32) -> Result<(Vec<User>, Option<Place>)> {
    let (lead, engine) = (filter.lead(), DATABASE.engine().await?);
    let (mut conditions, others) = (filter.indexed(engine, after.as_ref()), filter.others());
    let mut floor = None;
    if filter.id.is_none() && !others.is_empty() {
        floor = end_of_window(lead, &conditions).await?;
        if let Some(floor) = &floor {
            lead.add(&mut conditions, ("<=", ">="), floor);
        }
    }
    conditions.append(others);
    let rows =
        DATABASE.query(&statement(lead, USER, &conditions, &format!("LIMIT {limit}")), conditions.values()).await?;
    Ok((rows.into_iter().map(|mut row| user(&mut row)).collect::<Result<_>>()?, floor))
}

/// Up to `limit` accounts behind the newest `offset`, the newest first.
pub(crate) async fn slice(limit: u32, offset: u32) -> Result<Vec<User>> {
    let part = format!("LIMIT {limit} OFFSET {offset}");
    let rows = DATABASE.query(&statement(Lead::Age, USER, &Conditions::default(), &part), Vec::new()).await?;
    rows.into_iter().map(|mut row| user(&mut row)).collect()
}

/// The last place of the window; `None` when the list ends before it does.
async fn end_of_window(lead: Lead, conditions: &Conditions) -> Result<Option<Place>> {
    let place = if lead == Lead::Email { "0, u.email" } else { "u.id, ''" };
    let last = format!("LIMIT 1 OFFSET {}", WINDOW - 1);
    let row = DATABASE.query_one(&statement(lead, place, conditions, &last), conditions.values()).await?;
    row.map(|mut row| Ok(Place(row.next()?, row.next()?))).transpose()
}

fn statement(lead: Lead, columns: &str, conditions: &Conditions, part: &str) -> String {
    format!(
        "SELECT {columns} FROM {} WHERE u.deleted_at IS NULL AND {} ORDER BY {} {part}",
        lead.tables(),
        conditions.sql(),
        lead.order()
    )
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use store::words;

    use super::*;

    fn database() -> Connection {
        let database = Connection::open_in_memory().unwrap();
        for file in ["0001_accounts.sql", "0002_names.sql"] {
            database.execute_batch(crate::FILES.get_file(file).unwrap().contents_utf8().unwrap()).unwrap();
        }
        database
    }

    fn filter(has: impl Fn(u32) -> bool) -> Filter {
        Filter {
            id: has(0).then_some(UserId(7)),
            name: has(1).then(|| words("ann lee")),
            email: has(2).then(|| "ann".to_owned()),
            phone: has(3).then(|| "555".to_owned()),
            role: has(4).then_some(Role::User),
            status: has(5).then_some(Status::Active),
        }
    }

    #[test]
    fn no_list_of_accounts_is_sorted_or_goes_along_the_wrong_index() {
        let database = database();
        for place in 0..64 {
            let filter = filter(|bit| place & (1 << bit) != 0);
            let (lead, mut conditions) =
                (filter.lead(), filter.indexed(Engine::Sqlite, Some(&Place(7, "ann@example.com".into()))));
            conditions.append(filter.others());
            let sql = statement(lead, USER, &conditions, "LIMIT 20");
            let mut plan = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            // Only the statement matters, not what its parameters are.
            let (mut rows, mut steps) = (plan.raw_query(), Vec::new());
            while let Some(row) = rows.next().unwrap() {
                steps.push(row.get::<_, String>(3).unwrap());
            }
            let expected = match lead {
                Lead::Name => vec!["SCAN n VIRTUAL TABLE INDEX ", "SEARCH u USING INTEGER PRIMARY KEY (rowid=?)"],
                Lead::Id => vec!["SEARCH u USING INTEGER PRIMARY KEY (rowid=?)"],
                Lead::Phone => vec!["SEARCH u USING INDEX users_by_phone (phone_digits=? AND id<?)"],
                Lead::Email => vec!["SEARCH u USING INDEX sqlite_autoindex_users_1 (email>? AND email<?)"],
                Lead::Age if filter.role.is_some() => vec!["SEARCH u USING INDEX users_by_role (role=? AND id<?)"],
                Lead::Age if filter.status.is_some() => {
                    vec!["SEARCH u USING INDEX users_by_status (status=? AND id<?)"]
                }
                Lead::Age => vec!["SEARCH u USING "],
            };
            assert_eq!(steps.len(), expected.len(), "{sql}: {steps:?}");
            for (step, expected) in steps.iter().zip(expected) {
                assert!(step.starts_with(expected), "{sql}: {steps:?}");
            }
        }
    }

    #[test]
    fn nothing_is_left_of_the_names_that_were_changed_or_deleted() {
        let database = database();
        let found = |word: &str| {
            let count = "SELECT count(*) FROM user_names WHERE user_names MATCH $1";
            let words = Find::all_begun(&words(word)).expression(Engine::Sqlite);
            let mut blocks = database.prepare("SELECT block FROM user_names_data").unwrap();
            let blocks = blocks.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
            let left = blocks.map(Result::unwrap).collect::<Vec<_>>().concat();
            let count = database.query_row(count, [words], |row| row.get::<_, i64>(0)).unwrap();
            (count, left.windows(word.len()).any(|window| window == word.as_bytes()))
        };
        for id in 1..300 {
            let insert = "INSERT INTO users (email, username, password_hash, role, status, created_at, first_name) \
                 VALUES ($1, 'ann', '', 'user', 'active', 0, 'Zelda')";
            database.execute(insert, [format!("{id}@example.com")]).unwrap();
        }
        database
            .execute("UPDATE users SET first_name = 'Xyzzy', phone = '(030) 12-3/4.5 +6' WHERE id = 7", [])
            .unwrap();
        assert_eq!(found("xyzzy"), (1, true));
        let digits = database.query_row("SELECT phone_digits FROM users WHERE id = 7", [], |row| row.get(0));
        assert_eq!(digits, Ok("030123456".to_owned()));
        database.execute("UPDATE users SET first_name = 'Plugh', last_name = 'Quux' WHERE id = 7", []).unwrap();
        assert_eq!((found("xyzzy"), found("plugh"), found("quux")), ((0, false), (1, true), (1, true)));
        let erase = "UPDATE users SET email = NULL, username = '', first_name = NULL, last_name = NULL, phone = NULL, \
             deleted_at = 1 WHERE id = 7";
        database.execute(erase, []).unwrap();
        assert_eq!((found("plugh"), found("quux"), found("ann").0), ((0, false), (0, false), 298));
        database.execute("INSERT INTO user_names (user_names) VALUES ('integrity-check')", []).unwrap();
    }
}
