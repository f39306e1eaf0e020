//! Accounts: everybody has the own one, admins have all.

use serde_json::{Value, json};

use super::{
    ADMIN, ANYONE, ONLY_OWNER, OWNER, Outcome, PROGRAMS, Row, SIGNED_IN, created, delete, get, gone, patch, post, put,
};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = signing_in();
    rows.extend(own());
    rows.extend(of_others());
    rows.extend(signing_out());
    rows
}

fn signing_in() -> Vec<Row> {
    let account = json!({ "email": "new{n}@example.com", "password": "correct horse" });
    let known = json!({ "email": "owner@example.com", "password": "owner's password" });
    let reset = json!({ "email": "owner@example.com", "code": "made up", "newPassword": "a better horse" });
    vec![
        post("/auth/register", [201; 7]).json(&account),
        post("/auth/login", ANYONE).json(&known),
        // Whoever has a token of the owner has the owner's sign-in.
        post("/auth/refresh", ANYONE).json(&json!({ "refreshToken": "{refresh}" })),
        post("/auth/logout", [204; 7]).json(&json!({ "refreshToken": "{refresh}" })),
        get("/auth/me", SIGNED_IN),
        post("/auth/forgot-password", [202; 7]).json(&json!({ "email": "new{n}@example.com" })),
        // The code is the pass; signing in is none.
        post("/auth/reset-password", [422; 7]).json(&reset),
        post("/auth/introspect", PROGRAMS).json(&json!({ "token": "made up" })),
    ]
}

fn own() -> Vec<Row> {
    /// With a wrong password: right ones end what the table needs.
    const WRONG: Outcome = [401, 422, 422, 422, 422, 422, 422];
    let password = json!({ "currentPassword": "wrong", "newPassword": "a better horse" });
    vec![
        get("/users/me", SIGNED_IN),
        put("/users/me", SIGNED_IN).json(&json!({ "phone": "555 0100" })),
        patch("/users/me", SIGNED_IN).json(&json!({ "phone": Value::Null })),
        delete("/users/me", WRONG).json(&json!({ "password": "wrong" })),
        post("/users/me/password", WRONG).json(&password),
        put("/users/me/password", WRONG).json(&password),
        get("/users/me/addresses", SIGNED_IN),
        post("/users/me/addresses", SIGNED_IN.map(created)).json(&address()),
        get("/users/me/addresses/{address}", ONLY_OWNER),
        put("/users/me/addresses/{address}", ONLY_OWNER).json(&address()),
        delete("/users/me/addresses/{address}", ONLY_OWNER.map(gone)),
        get("/users/me/payment-methods", SIGNED_IN),
        post("/users/me/payment-methods", SIGNED_IN.map(created)).json(&json!({ "token": "tok_visa" })),
        get("/users/me/payment-methods/{method}", ONLY_OWNER),
        put("/users/me/payment-methods/{method}", ONLY_OWNER).json(&json!({ "label": "mine" })),
        delete("/users/me/payment-methods/{method}", ONLY_OWNER.map(gone)),
        get("/users/me/sessions", SIGNED_IN),
        delete("/users/me/sessions/{session}", ONLY_OWNER.map(gone)),
    ]
}

pub(super) fn address() -> Value {
    json!({ "name": "Ann", "line1": "1 Main St", "city": "Springfield", "postalCode": "62701", "country": "US" })
}

fn of_others() -> Vec<Row> {
    vec![
        get("/users", ADMIN),
        get("/users/{owner}", OWNER),
        get("/users/{owner}/verify", [401, 200, 404, 200, 404, 404, 200]),
        put("/users/{other}/role", ADMIN).json(&json!({ "role": "user" })),
        patch("/users/{other}/role", ADMIN).json(&json!({ "role": "user" })),
        put("/users/{other}/status", ADMIN).json(&json!({ "status": "active" })),
        patch("/users/{other}/status", ADMIN).json(&json!({ "status": "active" })),
        delete("/users/{stranger}", ADMIN.map(gone)),
    ]
}

/// After these nobody is signed in.
fn signing_out() -> Vec<Row> {
    vec![delete("/users/me/sessions", SIGNED_IN.map(gone)), post("/auth/logout-all", SIGNED_IN.map(gone))]
}
