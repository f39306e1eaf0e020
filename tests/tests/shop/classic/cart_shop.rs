//! The cart shop: bare paths, one word each.

use super::{STRANGERS, check_crowds, check_refused, check_strangers};
use crate::roles::{self, Row};

pub(super) fn rows() -> Vec<Row> {
    vec![
        // The catalog.
        // Inventory.
        // Carts.
        // Orders.
        // Payments.
        // Accounts, which come last: some sign people out.
    ]
}

#[tokio::test]
async fn everybody_may_do_what_the_table_says_and_nothing_else() {
    roles::check(rows()).await;
}

#[tokio::test]
async fn who_must_sign_in_is_told_so() {
    check_strangers(rows(), &STRANGERS).await;
}

#[tokio::test]
async fn what_comes_again_or_at_once_breaks_nothing() {
    check_crowds(rows()).await;
}

#[tokio::test]
async fn what_is_not_as_it_must_be_is_refused_and_changes_nothing() {
    check_refused(vec![
        // The catalog.
        // Inventory.
        // Carts.
        // Orders.
        // Payments.
        // Accounts, which come last: some sign people out.
    ])
    .await;
}
