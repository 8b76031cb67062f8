-- What a set-up is: fixed when it is made, checked at every start.
CREATE TABLE settings (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
-- Which generation a place belongs to: the latest that begins at or before it.
CREATE TABLE generations (generation INTEGER PRIMARY KEY, begins INTEGER NOT NULL);

-- Narrow numbers for long names.
CREATE TABLE conversations (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (tenant, name));
CREATE TABLE collections (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (tenant, name));
CREATE TABLE kinds (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- The log. A row is also the stored entry: it is never written twice. No index here, for the append's sake.
CREATE TABLE log (place INTEGER PRIMARY KEY AUTOINCREMENT, partition INTEGER NOT NULL, conversation INTEGER NOT NULL, data BLOB NOT NULL);

-- Where the accepted entries are: by seq, by act, and for followers by partition.
CREATE TABLE stored (conversation INTEGER NOT NULL, seq INTEGER NOT NULL, place INTEGER NOT NULL, n INTEGER NOT NULL, kind INTEGER NOT NULL,
                     PRIMARY KEY (conversation, seq)) WITHOUT ROWID;
CREATE TABLE acts (conversation INTEGER NOT NULL, op BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (conversation, op)) WITHOUT ROWID;
CREATE TABLE followed (partition INTEGER NOT NULL, place INTEGER NOT NULL, seq INTEGER NOT NULL, n INTEGER NOT NULL,
                       PRIMARY KEY (partition, place)) WITHOUT ROWID;
CREATE TABLE places (partition INTEGER PRIMARY KEY, generation INTEGER NOT NULL, offset INTEGER NOT NULL, item INTEGER NOT NULL);

-- Documents; `doc` is NULL when deleted, so that the place is remembered.
CREATE TABLE documents (collection INTEGER NOT NULL, key TEXT NOT NULL, generation INTEGER NOT NULL, offset INTEGER NOT NULL,
                        item INTEGER NOT NULL, doc BLOB, PRIMARY KEY (collection, key)) WITHOUT ROWID;
CREATE TABLE document_index (collection INTEGER NOT NULL, name TEXT NOT NULL, equal BLOB NOT NULL, ordered NOT NULL, key TEXT NOT NULL,
                             PRIMARY KEY (collection, name, equal, ordered, key)) WITHOUT ROWID;

CREATE TABLE counters (tenant TEXT NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (tenant, name)) WITHOUT ROWID;
CREATE TABLE allowances (tenant TEXT NOT NULL, name TEXT NOT NULL, window INTEGER NOT NULL, used INTEGER NOT NULL,
                         PRIMARY KEY (tenant, name)) WITHOUT ROWID;
CREATE TABLE leases (tenant TEXT NOT NULL, name TEXT NOT NULL, holder TEXT NOT NULL, until INTEGER NOT NULL,
                     PRIMARY KEY (tenant, name)) WITHOUT ROWID;
