package queue

import (
	"context"
	"log/slog"
)

// levelFilter passes on only what is at least as grave as min: River reports its daily business at info.
type levelFilter struct {
	slog.Handler
	min slog.Level
}

// Enabled implements slog.Handler.
func (f levelFilter) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= f.min && f.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (f levelFilter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelFilter{f.Handler.WithAttrs(attrs), f.min}
}

// WithGroup implements slog.Handler.
func (f levelFilter) WithGroup(name string) slog.Handler {
	return levelFilter{f.Handler.WithGroup(name), f.min}
}
