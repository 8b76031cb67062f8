-- What holds while its holder lives; lives are leases of no tenant, held by themselves.
CREATE TABLE marks (tenant TEXT NOT NULL, name TEXT NOT NULL, holder TEXT NOT NULL, value INTEGER NOT NULL,
                    PRIMARY KEY (tenant, name, holder)) WITHOUT ROWID;
