package sqlite

import "context"

// WriterPragma is a setting of the connection that writes, in a fresh database.
func WriterPragma(ctx context.Context, dir, name string) (value string, err error) {
	d, err := open(ctx, dir)
	if err != nil {
		return "", err
	}
	if err := d.conn.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value); err != nil {
		return "", err
	}
	return value, d.Close()
}
