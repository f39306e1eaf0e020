//! A shop with as many products, accounts and orders as one likes: for loads, and for tests of what fills it.

pub mod bulk;
